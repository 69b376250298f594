# SPDX-License-Identifier: Apache-2.0
# The same two commands on a slim image:  docker build -t phyfold . && docker run --rm phyfold
FROM python:3.11-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make perl \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/phyfold
# The lock file alone first: the installation is cached until it changes.
COPY Makefile pyproject.toml requirements.lock README.md LICENSE ./
COPY models models
COPY quant quant
COPY hls hls
COPY fpga_builds fpga_builds
RUN make install
COPY . .

CMD ["make", "run"]
