# SPDX-License-Identifier: Apache-2.0
"""EDA tools, each behind one thin wrapper: synthesis, netlists, place and route."""
