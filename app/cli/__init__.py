"""The commands of `litestar`."""
