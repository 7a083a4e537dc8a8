"""The rules of a referral's life, without any input or output: values in, events or refusals out."""
