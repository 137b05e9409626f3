"""Compare the plugin with its alternatives in one run: medians, and ratios of pairs.

scripts/bench runs this module, and makes the environment for it.
"""

import argparse
import json
import os
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi

from tests.bench.measures import MEASURES, Measure

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@contextmanager
def servers(folder: Path) -> Iterator[dict[bool, str]]:
    """Run server.py without and with TLS, with a certificate made in the folder; yield the URLs."""
    certificate = [str(folder / "cert.pem"), str(folder / "key.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-out", certificate[0], "-keyout", certificate[1]]
    subprocess.run(command, check=True, capture_output=True)
    trust(folder)
    running = [
        subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), *arguments], stdout=subprocess.PIPE, text=True
        )
        for arguments in ([], certificate)
    ]
    try:
        plain, secured = (int(each.stdout.readline()) for each in running if each.stdout)
        yield {False: f"http://127.0.0.1:{plain}", True: f"https://127.0.0.1:{secured}"}
    finally:
        for each in running:
            each.kill()
            each.communicate()


def trust(folder: Path) -> None:
    """Write a file and a folder of the system's CA certificates and the server's certificate.

    Without SSL_CERT_FILE and SSL_CERT_DIR, llm's class reads such a file, and ours such a folder.
    """
    certificate = folder / "cert.pem"
    paths = ssl.get_default_verify_paths()
    file = Path(paths.openssl_cafile)
    ca_certificates = (file if file.exists() else Path(certifi.where())).read_text()
    (folder / "bundle.pem").write_text(ca_certificates + certificate.read_text())
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(certificate)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    if paths.capath and list(Path(paths.capath).glob("*.0")):
        shutil.copytree(paths.capath, folder / "certs")
        shutil.copy(certificate, folder / "certs" / f"{name}.0")


def run_case(python: str, case: str, url: str, folder: Path) -> dict[str, float]:
    """Return the result of one case, run in a fresh interpreter of a user's environment."""
    user_path = folder / "llm"
    shutil.rmtree(user_path, ignore_errors=True)
    user_path.mkdir()
    (user_path / "extra-openai-models.yaml").write_text(
        f"- model_id: openai-compatible\n  model_name: gemini-3.5-flash\n  api_base: {url}/v1\n"
    )
    environment = {
        "PATH": os.environ["PATH"],
        "LLM_USER_PATH": str(user_path),
        "EVOLINK_BASE_URL": url,
        "EVOLINK_API_KEY": "sk-bench-0123456789",
        "OPENAI_API_KEY": "sk-bench-0123456789",
    }
    if url.startswith("https"):
        # Each side loads CA certificates from where it does by default: ours from a folder.
        ours = case.endswith(":ours") and (folder / "certs").exists()
        environment |= (
            {"SSL_CERT_DIR": str(folder / "certs")}
            if ours
            else {"SSL_CERT_FILE": str(folder / "bundle.pem")}
        )
    if case.startswith(("load", "prompt")):
        environment["LLM_LOAD_PLUGINS"] = "" if case.startswith("load") else "llm-evolink"
    done = subprocess.run(
        [python, str(HERE / "cases.py"), case, url],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{case} at {url} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def regenerate() -> float:
    return seconds([str(ROOT / "scripts" / "regenerate"), "--check"])


def bare_generator(folder: Path) -> float:
    out = folder / "bare"
    shutil.rmtree(out, ignore_errors=True)
    document = str(ROOT / "generated_client" / "openapi.json")
    command = [str(ROOT / ".venv/bin/openapi-python-client"), "generate", "--path", document]
    return seconds([*command, "--output-path", str(out), "--meta", "none"])


def seconds(command: list[str]) -> float:
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": path})
    return time.perf_counter() - began


def compare(
    ours: Callable[[], float], theirs: Callable[[], float], ratio: str, times: int
) -> dict[str, float]:
    """Run both in turns; return their medians, and the median and range of the ratios."""
    pairs = []
    for number in range(times):
        first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        one, two = first(), second()
        pairs.append((one, two) if first is ours else (two, one))
    ratios = sorted(a / b if ratio == "ours/theirs" else b / a for a, b in pairs)
    return {
        "ours": statistics.median(a for a, _ in pairs),
        "theirs": statistics.median(b for _, b in pairs),
        "ratio": statistics.median(ratios),
        "least": ratios[0],
        "greatest": ratios[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="repeat less, without slow measures")
    parser.add_argument("--only", default="", metavar="TEXT", help="only measures named like TEXT")
    parser.add_argument("--python", required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch, servers(Path(scratch)) as urls:
        folder = Path(scratch)

        def side(measure: Measure, case: str) -> Callable[[], float]:
            url = f"{urls[measure.tls]}/{measure.path}"
            return lambda: run_case(arguments.python, case, url, folder)[measure.field]

        for measure in MEASURES:
            if (arguments.quick and measure.slow) or arguments.only not in measure.name:
                continue
            times = measure.times or (3 if arguments.quick or measure.slow else 11)
            sides = side(measure, measure.ours), side(measure, measure.theirs)
            result = compare(*sides, measure.ratio, times)
            rows.append((measure, result))
            show(arguments.json, measure, result)
        generator = Measure("scripts/regenerate / the bare generator", "", "", "ours/theirs", "2")
        if arguments.only in generator.name:
            times = 3 if arguments.quick else 11
            result = compare(regenerate, lambda: bare_generator(folder), "ours/theirs", times)
            rows.append((generator, result))
            show(arguments.json, generator, result)
    if arguments.json:
        print(json.dumps([{"name": m.name, "target": m.target, **r} for m, r in rows], indent=2))


def show(as_json: bool, measure: Measure, result: dict[str, float]) -> None:
    """Print a row of the table, and the heading before the first row."""
    if as_json:
        return
    if not show.__dict__.setdefault("began", False):
        show.__dict__["began"] = True
        print("| measure | ratio | of pairs | target | ours | theirs |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |")
    target = f"≥ {measure.target[1:]}" if measure.target[0] == ">" else f"≤ {measure.target}"
    numbers = [
        f"{rounded(result[side] * measure.scale)} {measure.unit}" for side in ("ours", "theirs")
    ]
    spread = f"{result['least']:.3g} to {result['greatest']:.3g}"
    row = [measure.name, f"{result['ratio']:.3g}", spread, target, *numbers]
    print(f"| {' | '.join(row)} |", flush=True)


def rounded(number: float) -> str:
    """Return the number with three significant digits, and without an exponent."""
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


if __name__ == "__main__":
    main()
