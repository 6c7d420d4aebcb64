# shellcheck shell=bash
# Utilities that feature scripts share.
