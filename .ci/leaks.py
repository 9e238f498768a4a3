"""Fails when a file of the repository holds what belongs to one machine: its paths, or the hosts of its package indexes.

Looks at every file that git tracks or would track. Also refuses weights, packages and other large files, and locks that
name where a package was downloaded from.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent

# Each is written so that it does not match itself.
PATTERNS = {
    "a path of one machine": r"(?<![\w.~}])/(?:[w]ork|[r]oot)/|/[o]pt/wheels",
    "a package index": r"registry[.]npmjs|\bpypi[.]org|pythonhoste[d]|--(?:extra-)?index-ur[l]|--find-link[s]",
    "where a package came from": r'^\s*"resolve[d]": "http',
    "a private key": r"-----BEGI[N] [A-Z ]*PRIVATE KEY",
}
WEIGHTS = {".safetensors", ".gguf", ".onnx", ".pt", ".bin", ".whl", ".so", ".a", ".zip", ".gz"}
LARGEST_BYTES = 1 << 20
# Small files that do belong here: old ones of the index, kept so that later versions are seen to read them; and the few
# numbers that the judgement begins with.
SMALL = {"index/tests/fixtures/": 64 << 10, "src/cache/judgement/weights/": 128 << 10}
# Named in lock files and manuals everywhere; no secret of any machine.
PUBLIC_HOSTS = {"github.com", "crates.io", "index.crates.io", "static.crates.io", "localhost", "127.0.0.1"}


def tracked():
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listing.returncode == 0:
        return sorted(ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file())
    # A copy without its history.
    ignored = {".git", "target", "node_modules", ".venv"}
    return sorted(path for path in ROOT.rglob("*") if path.is_file() and not ignored & set(path.relative_to(ROOT).parts))


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def configured_hosts():
    """The hosts that pip, npm and cargo of this machine are set to ask."""
    texts = [output(sys.executable, "-m", "pip", "config", "list"), output("npm", "config", "get", "registry")]
    texts += [value for name, value in os.environ.items() if re.match(r"(PIP|UV|NPM_CONFIG|CARGO)_", name, re.IGNORECASE)]
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    texts += [path.read_text(errors="replace") for path in (home / "config.toml", home / "config") if path.is_file()]
    urls = re.findall(r"https?://[^\s'\"]+", "\n".join(texts))
    return {host for host in (urlsplit(url).hostname for url in urls) if host} - PUBLIC_HOSTS


def leaks(path, patterns):
    name = path.relative_to(ROOT)
    size = path.stat().st_size
    belongs = any(name.as_posix().startswith(folder) and size <= most for folder, most in SMALL.items())
    if (path.suffix in WEIGHTS and not belongs) or size > LARGEST_BYTES:
        yield f"{name}: {size} bytes; weights, packages and large files do not belong here"
        return
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        for what, pattern in patterns.items():
            found = pattern.search(line)
            if found:
                yield f"{name}:{number}: {what}: {found.group().strip()}"


def main():
    patterns = {what: re.compile(pattern) for what, pattern in PATTERNS.items()}
    if len(Path.home().parts) > 2:
        patterns["the home folder of this machine's user"] = re.compile(re.escape(f"{Path.home()}/"))
    for host in configured_hosts():
        patterns[f"a host that this machine's package managers ask ({host})"] = re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-])")
    files = tracked()
    found = [leak for path in files for leak in leaks(path, patterns)]
    for leak in found:
        print(leak, file=sys.stderr)
    print(f"{len(files)} files, {len(found)} leaks")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
