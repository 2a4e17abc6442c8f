"""Plays cases through one program."""

import threading
from concurrent.futures import ThreadPoolExecutor

from .case import MAY, MUST, RECORD
from .origin import Scene
from .programs import FORWARD
from .wire import ask, dated

AT_ONCE = 24
CONFORMS, VIOLATES, OMITS, RECORDED, SILENT = "conforms", "violates", "omits", "recorded", "does not apply"
VERDICTS = [CONFORMS, VIOLATES, OMITS, RECORDED, SILENT]
FAILED = {MUST: VIOLATES, MAY: OMITS, RECORD: RECORDED}


def play_all(program, origin, cases):
    """Results by case id. Cases are independent of one another, and most of their time is waiting."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip([case.id for case in cases], pool.map(lambda case: play(program, origin, case), cases)))


def play(program, origin, case):
    """Verdict, failed checks and what happened, in words."""
    scene = Scene(case)
    origin.scenes[case.id] = scene
    views = []
    pause = threading.Event()
    try:
        for number, exchange in enumerate(case.exchanges):
            pause.wait(exchange.after)
            scene.number = number
            reply = ask(program.port, request(program, origin, case, exchange), exchange.method)
            views.append(origin.view(scene, reply, views))
        # What an exchange set off in the background belongs to it.
        views = [origin.view(Scene(case, v.number, scene.received), v.reply, v.earlier) for v in views]
    finally:
        del origin.scenes[case.id]
    return judge(case, views)


def judge(case, views):
    happened = [view.in_words() for view in views]
    failed = []
    for view, exchange in zip(views, case.exchanges):
        for check in exchange.checks:
            if check.test(view):
                continue
            words = f"{view.number + 1}: {check.text}"
            if check.given:
                return {"verdict": SILENT, "failed": [words], "happened": happened}
            failed.append(words)
    if case.kind == RECORD:
        verdict = RECORDED
    else:
        verdict = FAILED[case.kind] if failed else CONFORMS
    return {"verdict": verdict, "failed": failed, "happened": happened}


def request(program, origin, case, exchange):
    host = f"127.0.0.1:{origin.port}"
    path = f"/{case.id}/x{exchange.suffix}"
    target = f"http://{host}{path}" if program.form == FORWARD else path
    if exchange.raw is not None:
        raw = exchange.raw.replace(b"{target}", target.encode())
        return raw.replace(b"{host}", host.encode()).replace(b"{path}", path.encode())
    lines = [f"{exchange.method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {dated(value)}" for name, value in exchange.fields]
    if exchange.body:
        lines.append(f"Content-Length: {len(exchange.body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + exchange.body
