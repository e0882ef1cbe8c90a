"""Layouts that several formats and published folders share: what stands in a file apart from how it is encoded."""
