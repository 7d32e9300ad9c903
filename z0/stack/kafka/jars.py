"""
The jars of the local Kafka. Owns: fetching them once with Maven, and finding Java. Does not own: the broker's settings.
"""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

from z0.errors import StackError
from z0.stack.program import Report

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
JAVA_MIN = 17
TOOL_JARS = ("kafka-tools-*.jar", "kafka_2.13-*.jar")
TOOL_PACKAGES = ("org/apache/kafka/tools/", "kafka/tools/", "kafka/admin/")
MAIN = (b"\x01\x00\x04main", b"\x01\x00\x16([Ljava/lang/String;)V")  # a method's name and type in a class file
INSTALL_JAVA = f"install Java {JAVA_MIN} or later (for example `apt install openjdk-17-jre-headless` or `brew install openjdk`)"
INSTALL_MAVEN = "install Maven (for example `apt install maven` or `brew install maven`), or give a Kafka with Z0_KAFKA"


def kafka_version() -> str:
    element = ET.parse(POM).find("{*}properties/{*}kafka.version")  # noqa: S314 - our own file
    assert element is not None
    assert element.text
    return element.text


def libs(home: Path) -> Path:
    return home / f"libs-{kafka_version()}"


def tools(home: Path) -> dict[str, str]:
    """Kafka's console tools: the simple name of each class that can be run, and its whole name. Tools lie in several packages."""
    found = {}
    for jar in (path for pattern in TOOL_JARS for path in libs(home).glob(pattern)):
        with zipfile.ZipFile(jar) as classes:
            for name in classes.namelist():
                if name.startswith(TOOL_PACKAGES) and name.endswith(".class") and "$" not in name and _runs(classes.read(name)):
                    whole = name.removesuffix(".class").replace("/", ".")
                    found[whole.rpartition(".")[2]] = whole
    return found


def _runs(code: bytes) -> bool:
    return all(part in code for part in MAIN)


def java() -> str:
    """
    The Java to use: `JAVA_HOME`'s, else the one on the path.

    Raises:
        StackError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    if path is None:
        where = f"in JAVA_HOME={home}" if home else "on the path"
        raise StackError(f"Kafka needs Java and there is none {where}: {INSTALL_JAVA}")
    shown = subprocess.run([path, "-version"], capture_output=True, text=True, check=False)
    version = parse_java_version(shown.stderr + shown.stdout)
    if version is None or version < JAVA_MIN:
        raise StackError(f"Kafka needs Java {JAVA_MIN} or later and {path} is {version or 'unknown'}: {INSTALL_JAVA}")
    return path


def parse_java_version(text: str) -> int | None:
    """The major version in what `java -version` prints; `1.8.0_292` is 8."""
    found = re.search(r'version "(?:1\.)?(\d+)', text)
    return int(found[1]) if found else None


def fetch(home: Path, report: Report) -> None:
    """Fetch the jars unless they are there. A folder under the final name is always complete: it is renamed at the end."""
    target = libs(home)
    if target.is_dir():
        return
    report("kafka", f"fetching Apache Kafka {kafka_version()} with Maven (once, about 60 MB)")
    part = target.with_name(f"{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    copy_dependencies(POM, part)
    part.rename(target)


def copy_dependencies(pom: Path, target: Path) -> None:
    """
    Fetch the jars that a project file names.

    Raises:
        StackError: there is no Maven, or it could not.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise StackError(f"Kafka's jars are fetched with Maven and there is no `mvn` on the path: {INSTALL_MAVEN}")
    command = [maven, "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"]
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not any(target.glob("kafka*.jar")):
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise StackError(f"Maven could not fetch Apache Kafka; check the network and run `z0 up` again. It said:\n{last}")
