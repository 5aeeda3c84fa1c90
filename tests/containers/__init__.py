"""The image and the compose file on a Docker engine of the tests' own: `make test-containers`.

Not collected by `make test`: it builds an image of a gigabyte.
"""
