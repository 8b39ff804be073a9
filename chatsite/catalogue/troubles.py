"""Why a model did not come or go, in the admin's words and with the next step; never the raw
error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

SENTENCES = {
    # The hub
    "gated": _(
        "The owner of this repository gives it only to people who have accepted the terms. Open "
        "its page on the hub, accept them there, then enter your token under Hub and try again."
    ),
    "no_access": _(
        "The hub does not show this repository: there is none of this name, it is private, or the "
        "token is not valid for it. Check the name, and the token under Hub."
    ),
    "missing": _(
        "The hub knows no such repository, revision or file. Check the name; some repositories "
        "are shown only to those who enter a token under Hub."
    ),
    "no_variant": _(
        "This repository has no such quantization or file. Look at its page on the hub, or leave "
        "the quantization out to get the recommended one."
    ),
    "rate_limited": _(
        "The hub gets too many requests from this address just now. Try again later; with a token "
        "under Hub the limits are higher."
    ),
    "hub_down": _(
        "The hub does not answer. Check this server's network, or choose a mirror under Hub. "
        "Without a network, import a file instead."
    ),
    "cut_off": _(
        "The connection broke too often. What has come is kept: try again, and it goes on from "
        "there."
    ),
    "wrong_hash": _(
        "A file is not the one that the hub describes: it was damaged on its way, or changed. It "
        "was set aside and is not used. Try again; if it stays so, choose another repository."
    ),
    "locked": _(
        "The token cannot be read any more, since the site's secret is another one now. Enter it "
        "again under Hub."
    ),
    "hub_refused": _("The hub refused the request. Check address and token under Hub."),
    "refused_host": _(
        "Files come only from hosts that are allowed. Add this one under Hub, if you trust it."
    ),
    "bad_address": _(
        "This is no address of a model. It looks like owner/name, owner/name:Q4_K_M, the address "
        "of a page of the hub, or the address of a file."
    ),
    # What came
    "refused_file": _(
        "Only model weights in GGUF or safetensors and plain data files beside them are taken. "
        "This one is something else, and it was not opened."
    ),
    "bad_header": _(
        "The file's header is damaged or makes no sense, so it was not loaded. It was set aside. "
        "Get the file again, or choose another one."
    ),
    "crashed": _(
        "The model made the engine crash when it was tried, so it was set aside. The file is "
        "damaged, or of a kind that this engine does not know. Choose another quantization."
    ),
    "timed_out": _(
        "The model was not ready in time when it was tried, so it was set aside. Try a smaller one."
    ),
    "cannot_load": _(
        "The engine cannot load this model: its architecture is not known here, or the file is "
        "incomplete. It was set aside. Choose another model or quantization."
    ),
    "no_engine": _("No machine here has an engine for this kind of model."),
    "incomplete": _("Parts of this model are missing. Put all its files into one folder."),
    "several": _(
        "There is more than one model in it. Name the file that is meant, or put one model into a "
        "folder of its own."
    ),
    # Paths and bundles
    "no_file": _("There is no such file or folder on that machine, or the site may not read it."),
    "bad_path": _("This path cannot be used. Enter the whole path, beginning with /"),
    "exists": _("There is something at this path already, and nothing is overwritten."),
    "not_writable": _("The site may not write there. Choose another folder."),
    "bad_bundle": _("This is no bundle of a model, or it is damaged. Carry it over once more."),
    "no_upload": _("This upload is not here any more. Choose the file again."),
    "wrong_place": _("The upload got out of step. Choose the same file again, and it goes on."),
    # This site
    "peer_away": _(
        "The machine that has these files does not answer the one that is to get them, or has them "
        "no more. Look at Machines; what has come is kept."
    ),
    "no_worker": _("No worker is running just now. Wait a moment, or look at Machines."),
    "no_answer": _("No worker has answered in time. Try again in a moment."),
    "broker": _("The message broker does not answer. Is the site running?"),
    "worker_lost": _("The worker stopped several times while it did this. Try again."),
    "process_died": _(
        "The process that did this ended by itself, perhaps for lack of memory. Try again."
    ),
    "disk_error": _("The disk reports an error. Check it, then try again."),
}


def explain(error: Mapping[str, Any] | None) -> str:
    """The sentences under what failed; an unknown kind gets the general one."""
    if not error:
        return ""
    kind = str(error.get("kind", ""))
    if kind == "no_space":
        return _no_space(error)
    if kind == "too_large":
        return _too_large(error)
    seconds = error.get("seconds")
    if kind == "rate_limited" and isinstance(seconds, int | float) and seconds > 0:
        told = gettext("The hub asks to wait %(seconds)d seconds before the next request.")
        return f"{told % {'seconds': seconds}} {SENTENCES[kind]}"
    if kind in SENTENCES:
        return str(SENTENCES[kind]) + _about(error)
    return gettext("Something went wrong on the way. Try again; the worker's log says more.")


def _about(error: Mapping[str, Any]) -> str:
    """Which file it is about, where that was told."""
    name = next((error[key] for key in ("file", "host", "path") if error.get(key)), "")
    return f" ({str(name)[:200]})" if name else ""


def _no_space(error: Mapping[str, Any]) -> str:
    needed, free = error.get("needed"), error.get("free")
    if needed is None or free is None:
        return gettext("The disk is full. Free some space, then go on: what has come is kept.")
    return gettext(
        "The disk has %(free)s free, but %(needed)s are needed. Free some space, then try again: "
        "what has come is kept."
    ) % {"needed": filesizeformat(needed), "free": filesizeformat(free)}


def _too_large(error: Mapping[str, Any]) -> str:
    needed, free = error.get("needed"), error.get("free")
    if needed is None or free is None:
        return gettext("The model needs more memory than is free. Choose a smaller one.")
    return gettext(
        "The model needs %(needed)s of memory, but only %(free)s are free. Choose a smaller one."
    ) % {"needed": filesizeformat(needed), "free": filesizeformat(free)}
