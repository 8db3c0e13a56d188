"""`fathom`: finds the command, runs it, and turns whatever goes wrong into one line."""

import atexit
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import NoReturn

from fathom.cli.console import say, show_error, warn
from fathom.core.errors import FathomError, ResourceError, unknown_name
from fathom.core.text import one_line

COMMANDS = {
    "depth": "metric depth, cloud and report from a stereo pair, or from folders of pairs",
    "check": "is this pair fit to be matched? swapped, unrectified, mis-calibrated, ...",
    "calib": "calibration files: show what is in one, convert between all formats",
    "calibrate": "a rig from shots of a board: cameras, their pose, how sure it is, a report",
    "board": "a calibration board to print, in its true size",
    "rectify": "makes rows agree: images, folders, videos; mends a rig that has drifted",
    "compare": "several methods on the same pairs: scores, pictures, where each fails",
    "sizes": "error against input size, for methods that see one image",
    "tune": "pick a method's parameters on a few pairs, by ground truth or by consistency",
    "budget": "what a rig can measure: range, error over depth, and which rig a wish needs",
    "measure": "distance, position, size and length from a result, with error bars",
    "nearer": "what is nearer than a plane: the question of collision avoidance, any method",
    "refine": "a sparse or unsure map and its image to a dense one; what is sure is kept",
    "accuracy": "the field test: plane fit, bias, noise and fill rate on a flat wall",
    "dataset": "data sets with truth: which are read, and whether the truth fits the images",
    "scenes": "makes stereo pairs with exact truth for training, as many as you want",
    "eval": "judge: maps of a data set to files, files to scores, archives for benchmarks",
    "train": "train or fine-tune a stereo net: an experiment file, resumable, with a log",
    "adapt": "a model to your own pairs without truth; kept only if held-back pairs say better",
    "weights": "published weights: what there is, converting, keeping and verifying them",
    "export": "a net as ONNX or OpenVINO file that runs without torch, with a certificate",
    "models": "the methods there are, and whether they are ready",
    "demo": "every built-in method on a real pair with ground truth",
}
HELP = """usage: fathom COMMAND ... [--help]

Depth in metres from one or two cameras.

commands:
{commands}

examples:
  fathom demo
  fathom depth left.png right.png --calib calib.txt -o result
  fathom check left.png right.png
  fathom COMMAND --help

exit codes: 0 well, 1 something found or part of a batch failed, 2 usage, 3 input,
4 resources (memory, disk, device), 70 a fault of fathom itself, 130 interrupted
"""
_INTERRUPTED = 130
_FAULT = 70


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] in ("-h", "--help", "help"):
        lines = "\n".join(f"  {name:<11}{text}" for name, text in COMMANDS.items())
        print(HELP.format(commands=lines))
        return 0
    if words[0] in ("-V", "--version", "version"):
        from fathom import __version__

        print(f"fathom {__version__}")
        return 0
    return guarded(lambda: _run(words), debug="--debug" in words, as_json="--json" in words)


def script() -> NoReturn:
    """What `fathom` and `python -m fathom` run: `main`, and the end of the process."""
    leave(main())


def leave(code: int) -> NoReturn:
    """Ends the process with `code`, at once: taking apart the runtimes that a command loaded would
    keep its user waiting for a quarter of a second.

    What was said is written out first, what a thread still puts into the cache is finished, and
    what libraries want to do at the end is done. A full disk under the output makes a code of 0
    one of 4.
    """
    for thread in threading.enumerate():
        if thread.name.startswith("fathom-"):
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:  # nobody reads any more: no error of ours
            pass
        except OSError as error:
            say(f"fathom: the output could not be written: {error.strerror}")
            code = code or ResourceError.exit_code
    os._exit(code)


def guarded(job: Callable[[], int], *, debug: bool, as_json: bool) -> int:
    """Runs `job`; an error becomes one line and its exit code, a traceback only with `debug`."""
    try:
        return job()
    except FathomError as error:
        if debug:
            raise
        show_error(error, as_json)
        return error.exit_code
    except KeyboardInterrupt:
        say("fathom: interrupted; nothing half-written was left")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`fathom models | head -1`): not an error of ours.
        sys.stdout = None
        return 0
    except Exception as error:
        if debug:
            raise
        known = _resource_error(error)
        if known is not None:
            show_error(known, as_json)
            return known.exit_code
        say(
            f"fathom: a fault of fathom itself: {type(error).__name__}: {error}; "
            "run again with --debug and report what it prints"
        )
        return _FAULT


def _run(words: list[str]) -> int:
    if words[0] not in COMMANDS:
        raise unknown_name("command", words[0], list(COMMANDS))
    module = importlib.import_module(f"fathom.cli.{words[0]}")
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: warn(one_line(str(message)))
        code: int = module.run(words[1:])
    return code


def _resource_error(error: Exception) -> ResourceError | None:
    """What the machine lacks, if that is what a library's error means."""
    text = str(error)
    if isinstance(error, MemoryError) or "Insufficient memory" in text:
        return ResourceError(
            "not enough memory", remedy="try --scale 0.5 or a smaller --max-disparity"
        )
    if isinstance(error, OSError):
        return ResourceError(error.strerror or text, file=error.filename)
    return None


if __name__ == "__main__":
    script()
