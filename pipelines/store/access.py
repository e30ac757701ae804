"""What to do where a store lets nobody in: which credential it refuses, and where that credential comes from."""

from __future__ import annotations

from pipelines.store.retries import causes, code_of

__all__ = ["remedy"]

_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile in ~/.aws/credentials that AWS_PROFILE names"
# Codes as Amazon's S3 and those that speak like it answer them:
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_BY_CODE = {
    "InvalidAccessKeyId": f"the store does not know this key: check {_KEYS}, and AWS_ENDPOINT_URL, whose keys they must be",
    "SignatureDoesNotMatch": f"the secret is not that of the key: check {_KEYS}",
    "ExpiredToken": "the credentials have run out: sign in again and renew AWS_SESSION_TOKEN",
    "InvalidToken": f"the session's token is none of this store's: unset AWS_SESSION_TOKEN, or check {_KEYS}",
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
}
_NO_KEYS = f"no credentials were found: set {_KEYS}"
_REFUSED = f"the credentials are refused, or may not do this: check {_KEYS}, and the rights on the bucket"
_MISSING = {"NoCredentialsError", "PartialCredentialsError"}  # classes of botocore, which need not be installed


def remedy(error: BaseException, otherwise: str, *, s3: bool = True) -> str:
    """What to do about an error of a store, as the end of a line.

    Args:
        error: what the store, or the library under it, raised.
        otherwise: what to do if it has nothing to do with credentials.
        s3: whether the store speaks S3, so that the credentials are Amazon's variables and files.
    """
    if not s3:
        return otherwise
    chain = list(causes(error))
    if any(type(one).__name__ in _MISSING for one in chain):
        return _NO_KEYS
    codes = [code for one in chain if (code := code_of(one))]
    known = next((_BY_CODE[code] for code in codes if code in _BY_CODE), "")
    # What asks for an object's head is answered without a body: there is no more than a number.
    return known or (_REFUSED if {"403", "AccessDenied"} & set(codes) else otherwise)
