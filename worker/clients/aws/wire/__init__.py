"""The services of every message, called without botocore's machinery: signed JSON over aiohttp.

Credentials, region, endpoint, CA bundle and proxy are those of the SDK's own chain, signatures are
of its signer, errors are its exceptions; retries follow its standard mode. What is left out is what
costs: models, hooks, endpoint rules and user agents at each call.
"""
