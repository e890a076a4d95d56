"""The configuration: YAML files in, jobs out, or every problem with its place.

`document` reads strict YAML, `declaration` merges what the files declare, `resolve` turns that into
jobs by the shapes of `model` and the checks of `field` and `timing`, and `inspection`, which is a
`reader` of nodes, explains what was refused.
"""

from rota.scheduler.config.diagnostic import InvalidConfig, Problem
from rota.scheduler.config.load import Config, check, load, of
from rota.scheduler.config.schema import schema

__all__ = ["Config", "InvalidConfig", "Problem", "check", "load", "of", "schema"]
