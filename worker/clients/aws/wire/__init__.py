"""The services of every message, called without botocore's machinery: signed JSON over HTTP/1.1.

Credentials, region, endpoint, CA bundle and proxy are those of the SDK's own chain, errors are its
exceptions; signatures are as its signer makes them, retries follow its standard mode. What is left
out is what costs: models, hooks, endpoint rules and user agents at each call.
"""
