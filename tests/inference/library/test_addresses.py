"""What an admin may type to say which model is meant, and from which hosts files come."""

from __future__ import annotations

import pytest

from inference.library.addresses import Wanted, is_allowed, parse
from inference.library.nouns import Hub, LibraryError

MIRROR = Hub("https://mirror.example/hub", hosts=("files.example", "inside.example:8443"))
REPO = "bartowski/Llama-3.2-1B-Instruct-GGUF"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (REPO, Wanted(REPO)),
        (f"  {REPO} ", Wanted(REPO)),
        (f"{REPO}:Q4_K_M", Wanted(REPO, quant="Q4_K_M")),
        (f"{REPO}:q4_k_m", Wanted(REPO, quant="Q4_K_M")),
        (f"{REPO}@v1.0", Wanted(REPO, "v1.0")),
        (f"{REPO}/a-Q4_K_M.gguf", Wanted(REPO, file="a-Q4_K_M.gguf")),
        (f"{REPO}/Q4/a-00001-of-00002.gguf", Wanted(REPO, file="Q4/a-00001-of-00002.gguf")),
        (f"hf.co/{REPO}:Q4_K_M", Wanted(REPO, quant="Q4_K_M")),
        (f"ollama run hf.co/{REPO}:Q4_K_M", Wanted(REPO, quant="Q4_K_M")),
        (f"hf://{REPO}", Wanted(REPO)),
        (f"huggingface.co/{REPO}", Wanted(REPO)),
        (f"https://huggingface.co/{REPO}", Wanted(REPO)),
        (f"https://huggingface.co/{REPO}/", Wanted(REPO)),
        (f"https://huggingface.co/{REPO}?library=llama-cpp-python", Wanted(REPO)),
        (f"https://huggingface.co/{REPO}/tree/main", Wanted(REPO)),
        (f"https://huggingface.co/{REPO}/tree/abc123/sub", Wanted(REPO, "abc123")),
        (f"https://huggingface.co/{REPO}/blob/main/x.gguf", Wanted(REPO, file="x.gguf")),
        (
            f"https://huggingface.co/{REPO}/resolve/v2/a%20b/x.gguf?download=true",
            Wanted(REPO, "v2", file="a b/x.gguf"),
        ),
        (f"https://mirror.example/{REPO}", Wanted(REPO)),
        (f"https://mirror.example/hub/{REPO}/tree/main", Wanted(REPO)),
        (
            "https://files.example/a/x.gguf?k=1#top",
            Wanted(url="https://files.example/a/x.gguf?k=1"),
        ),
        (
            "https://inside.example:8443/x.GGUF",
            Wanted(url="https://inside.example:8443/x.GGUF"),
        ),
    ],
)
def test_what_is_meant(text: str, wanted: Wanted) -> None:
    assert parse(text, MIRROR) == wanted


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "bad_address"),
        ("llama", "bad_address"),
        ("a/b/", None),
        ("a b/c", "bad_address"),
        ("../etc/passwd", "bad_address"),
        ("a/..", "bad_address"),
        ("a/b/../c.gguf", "bad_address"),
        ("a\\b/c", "bad_address"),
        ("a/b\0", "bad_address"),
        ("/etc/passwd", "bad_address"),
        ("a/b:Q4/../x", "bad_address"),
        ("a/b/pytorch_model.bin", "refused_file"),
        ("a/b/model.py", "refused_file"),
        ("https://huggingface.co/datasets/a/b", "bad_address"),
        ("https://huggingface.co/a", "bad_address"),
        ("https://huggingface.co/a/b/settings", "bad_address"),
        ("https://user:pass@files.example/x.gguf", "bad_address"),
        ("https://files.example/../x.gguf", "bad_address"),
        ("https://files.example/%2e%2e/x.gguf", "bad_address"),
        ("https://files.example/x.zip", "refused_file"),
        ("https://files.example:444/x.gguf", "refused_host"),
        ("https://inside.example/x.gguf", "refused_host"),
        ("https://evil.example/x.gguf", "refused_host"),
        ("https://huggingface.co.evil.example/a/b", "refused_host"),
        ("https://files.example.evil.example/x.gguf", "refused_host"),
        ("https://files.example@evil.example/x.gguf", "bad_address"),
        ("http://169.254.169.254/x.gguf", "refused_host"),
        ("ftp://files.example/x.gguf", "bad_address"),
        ("file:///etc/passwd", "bad_address"),
        ("https://[::1/x.gguf", "bad_address"),
        ("https://files.example:x/x.gguf", "bad_address"),
        ("x" * 3000, "bad_address"),
    ],
)
def test_what_is_refused(text: str, kind: str | None) -> None:
    if kind is None:
        assert parse(text, MIRROR).repo
        return
    with pytest.raises(LibraryError) as caught:
        parse(text, MIRROR)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://mirror.example/a", True),
        ("http://mirror.example/a", False),
        ("https://mirror.example:444/a", False),
        ("https://huggingface.co/a", True),
        ("https://cdn-lfs-us-1.hf.co/a", True),
        ("https://cas-bridge.xethub.hf.co/a", True),
        ("http://cas-bridge.xethub.hf.co/a", False),
        ("https://nothf.co/a", False),
        ("https://files.example/a", True),
        ("https://a.files.example/a", False),
        ("https://one.below.example/a", True),
        ("https://below.example/a", False),
        ("https://files.example:1/a", False),
        ("https://inside.example:8443/a", True),
        ("gopher://files.example/a", False),
        ("https:///a", False),
    ],
)
def test_r08_which_hosts_are_allowed(url: str, allowed: bool) -> None:
    hub = Hub("https://mirror.example", hosts=(*MIRROR.hosts, ".below.example"))
    assert is_allowed(url, hub) == allowed
