"""Edits that take a mechanism out of the code, and find their place by the function's name and not by file or line.

A place is "function"; where several have a static one of that name "folder/function" or "folder/file/function". What is to be replaced is
compared by its words, so that neither indentation nor line breaks matter, and must be there exactly once: an edit that does not
apply any more is a failure of its own, never silence."""

import os
import re

FOLDERS = ("base", "proto", "cgroup", "image", "supervisor", "shim", "job", "ctl", "gateway", "fetch", "net", "dns")


class DoesNotApply(Exception):
    pass


class Tree:
    """Source files of a copy of the tree, read when asked for, written back by undo()."""

    def __init__(self, top):
        self.top = top
        self.original = {}      # path -> text before the first edit
        self.texts = {}
        for folder in FOLDERS:
            for root, _, files in os.walk(os.path.join(top, folder)):
                for name in files:
                    if name.endswith((".c", ".h")):
                        path = os.path.relpath(os.path.join(root, name), top)
                        with open(os.path.join(top, path)) as f:
                            self.texts[path] = f.read()

    def change(self, path, text):
        self.original.setdefault(path, self.texts[path])
        self.texts[path] = text

    def write(self):
        for path in self.original:
            with open(os.path.join(self.top, path), "w") as f:
                f.write(self.texts[path])

    def undo(self, write):
        """Back to what it was; with write the files too (their time is now: make builds them anew)."""
        for path, text in self.original.items():
            self.texts[path] = text
            if write:
                with open(os.path.join(self.top, path), "w") as f:
                    f.write(text)
        self.original = {}

    def function(self, place):
        """(path, start, end): the body between the braces of the one definition of that name."""
        folder, _, name = place.rpartition("/")
        found = []
        for path, text in self.texts.items():
            if not path.endswith(".c") or folder and path != folder + ".c" and not path.startswith(folder + "/"):
                continue
            for m in re.finditer(r"^[A-Za-z_][^;{}=]*?\b%s\([^;{}]*\)\n\{\n" % re.escape(name), text, re.M):
                found.append((path, m.end(), text.index("\n}\n", m.end() - 1) + 1))
        if len(found) != 1:
            raise DoesNotApply("there %s function %s%s" % ("is no" if not found else "is more than one", place,
                                                           "" if not found else " (%s)" % ", ".join(f[0] for f in found)))
        return found[0]


def words(text):
    """A pattern for this text, whatever the white space between its words."""
    tokens = re.findall(r'"(?:\\.|[^"\\])*"|\w+|[^\w\s]', text)
    return r"\s*".join(re.escape(t) for t in tokens)


def body(place, code=""):
    """The whole body of the function is this."""
    def apply(tree):
        path, start, end = tree.function(place)
        text = tree.texts[path]
        tree.change(path, text[:start] + "\t" + code + "\n" + text[end:])
    return apply


def first(place, code):
    """The function begins with this."""
    def apply(tree):
        path, start, _ = tree.function(place)
        text = tree.texts[path]
        tree.change(path, text[:start] + "\t" + code + "\n" + text[start:])
    return apply


def swap(place, old, new=""):
    """In the function, this for that."""
    def apply(tree):
        path, start, end = tree.function(place)
        text = tree.texts[path]
        found = list(re.finditer(words(old), text[start:end]))
        if len(found) != 1:
            raise DoesNotApply("%s has %s `%s`" % (place, "no" if not found else "%d times" % len(found), old))
        at = found[0]
        tree.change(path, text[:start + at.start()] + new + text[start + at.end():])
    return apply


def define(folder, name, value):
    """The constant (#define) of that name is this."""
    def apply(tree):
        found = [(path, m) for path, text in tree.texts.items() if path.startswith(folder + "/")
                 for m in re.finditer(r"^#define[ \t]+%s[ \t]+(.*)$" % re.escape(name), text, re.M)]
        if len(found) != 1:
            raise DoesNotApply("%s/ has %s #define %s" % (folder, "no" if not found else "more than one", name))
        path, m = found[0]
        text = tree.texts[path]
        tree.change(path, text[:m.start(1)] + value + text[m.end(1):])
    return apply
