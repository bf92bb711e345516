#!/usr/bin/env python
"""Train a classifier on the ground-truth boxes of a detection set: tools/train.py, on a config whose model is one."""

from train import main

if __name__ == '__main__':
    main()
