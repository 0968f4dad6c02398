# SPDX-License-Identifier: Apache-2.0
"""Random documents, interfaces and traffic for every tier; pure, and likely to be interesting."""
