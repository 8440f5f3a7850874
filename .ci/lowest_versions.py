"""Print the lowest versions of the packages in setup.cfg, required and of `test`, as constraints for pip."""

import configparser
import re
from pathlib import Path

setup = configparser.ConfigParser()
setup.read(Path(__file__).parent.parent / "setup.cfg", encoding="utf-8")
required = setup["options"]["install_requires"] + setup["options.extras_require"]["test"]
for name, version in re.findall(r"^([\w-]+) *>= *([\d.]+)$", required, re.MULTILINE):
    print(f"{name} == {version}.*")
