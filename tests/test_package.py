import pkgutil
import subprocess
import sys
from importlib.metadata import version

import pytest

import clearsight


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_every_public_name_loads_and_is_documented():
    for name in clearsight.__all__:
        value = getattr(clearsight, name)
        assert name == "__version__" or (value.__doc__ or "").strip(), name


def test_no_module_takes_the_place_of_a_public_name():
    modules = {module.name for module in pkgutil.iter_modules(clearsight.__path__)}
    assert not modules & set(clearsight.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'scroe'"):
        clearsight.scroe  # noqa: B018


def test_the_version_is_told_once():
    assert clearsight.__version__ == version("clearsight")


def test_importing_loads_nothing_heavy():
    heavy = ("numpy", "xarray", "rasterio", "torch", "dask")
    assert run(f"import sys, clearsight; print([name for name in {heavy} if name in sys.modules])") == "[]"


def test_torch_is_never_imported_by_the_public_api():
    every = "[getattr(clearsight, name) for name in clearsight.__all__]"
    assert run(f"import sys, clearsight; {every}; print('torch' in sys.modules)") == "False"
