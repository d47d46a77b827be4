"""The published studies, one folder a lane, one module a stage."""
