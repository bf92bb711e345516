# FKD (Zhang and Ma, ICLR 2021), for SSD512 from a detector with five levels: both have strides of 8 to 128, and SSD has
# two levels more.
_base_ = './fkd.py'

distillers = dict(fkd=dict(levels=(0, 1, 2, 3, 4)))
