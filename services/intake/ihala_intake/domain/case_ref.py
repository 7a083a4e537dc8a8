"""Case references: a territory's prefix and eight random Crockford characters, for people to read out."""

import secrets

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_case_ref(prefix: str) -> str:
    """For example ``AG-7K3F-9QX2``. Random: it says nothing of the person or of how many there are."""
    letters = "".join(CROCKFORD[byte % 32] for byte in secrets.token_bytes(8))  # 256 is a multiple of 32: all alike
    return f"{prefix}-{letters[:4]}-{letters[4:]}"
