import subprocess
import sys

import wardian_tools


def test_the_exported_names_are_sorted_and_exist() -> None:
    exported = wardian_tools.__all__
    constants = [name for name in exported if name.isupper()]
    classes = [name for name in exported if name[0].isupper() and not name.isupper()]
    functions = [name for name in exported if name[0].islower()]
    assert exported == [*sorted(constants), *sorted(classes), *sorted(functions)]
    assert all(hasattr(wardian_tools, name) for name in exported)


def test_importing_the_package_does_not_import_pydantic() -> None:
    code = "import sys, wardian_tools; print([m for m in sys.modules if 'pydantic' in m])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
