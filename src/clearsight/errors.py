"""One tree of errors. Every message names the argument, its value, what was expected, and the way out."""


class ClearsightError(Exception):
    """Base of every error that Clearsight raises on purpose."""


class ArgumentError(ClearsightError, ValueError):
    """An argument has a value that can't be used."""


class EmptySourceError(ClearsightError):
    """A folder, catalogue or search holds no Sentinel-2 item."""


class ProductError(ClearsightError):
    """A product or a file can't be read: truncated, incomplete, or not what its metadata says."""


class UnsafeProductError(ProductError):
    """A product tries something it must not: a path out of its archive, an external XML entity."""


class RemoteError(ProductError):
    """A server refuses, fails, stays silent or sends too little; what it sent isn't used."""


class MissingBandError(ClearsightError):
    """An item or a stack lacks a band that was asked for."""


class MissingOffsetError(ProductError):
    """The radiometric offset of a product is nowhere to be found, and guessing it would shift every value."""


class MixedTilesError(ClearsightError):
    """Items of several tiles were given where one grid is needed."""


class OutputError(ClearsightError):
    """A result can't be written to the place that was asked for."""


class OptionalDependencyError(ClearsightError, ImportError):
    """A feature needs an extra that isn't installed; the message holds the exact install command."""


class ClearsightWarning(UserWarning):
    """Base of every warning that Clearsight gives."""


class ProductWarning(ClearsightWarning):
    """A broken product of a folder is left out; the others are read."""


class BusyError(ClearsightError):
    """Another process works on the same part of an archive."""


class HarmonisationWarning(ClearsightWarning):
    """The pixels of an item contradict what its provider says of the radiometric offset."""


class ModelError(ClearsightError):
    """A model isn't there, or isn't one."""
