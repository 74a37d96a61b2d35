#!/usr/bin/env bash
# Each rule of make lint is seen to fail: a fault is planted for it in a small tree.
exec "$REPO/tests/lint/run" --self-test
