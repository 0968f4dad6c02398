# SPDX-License-Identifier: Apache-2.0
"""The demo for people: a page of about 60 lines in 80 columns, written act by act."""

from collections import Counter
from collections.abc import Iterable
from shlex import quote
from textwrap import wrap

from krait.agent.ourselves import ourselves
from krait.cli.demo import grid
from krait.cli.output import WIDTH, Style, line, paint
from krait.lab.demo.document import SUSPECT, shortened
from krait.lab.demo.findings import Act, Cut, Enforced, Kept, Orphaned, Revoked, Wire
from krait.lab.demo.matrix import Matrix, wrong
from krait.lab.demo.stage import INTERFACE, POLICY, Host, Stage
from krait.lab.machine import Outcome
from krait.policy.explain import why

_FEW = 8
_ANSWERS = {"ok": "passed", "timeout": "no answer"}


def opening(stage: Stage) -> None:
    """What is shown, and on what."""
    wireguard = (
        "wireguard-go (userspace, slower; same policy path)" if stage.userspace else "the kernel's"
    )
    line(paint("Krait: four hosts, one policy, real traffic", Style.BOLD))
    line(f"WireGuard: {wireguard}; filter: {stage.kind.value}")
    _title("The policy", f"{POLICY} on every host")
    for text in shortened(stage.policy()).splitlines():
        line(f"  {text}")


def play(act: Act) -> None:
    """What an act showed."""
    match act:
        case Enforced():
            _enforced(act)
        case Revoked():
            _revoked(act)
        case Orphaned():
            _orphaned(act)


def _enforced(act: Enforced) -> None:
    _title("Who reaches whom", "from row to column, an agent on every host")
    _matrix(act.matrix)
    closed = sum(not outcome.decision.allows for outcome in act.matrix)
    _verdict(
        act.open == len(act.matrix), f"without Krait, {act.open} of {len(act.matrix)} probes passed"
    )
    _agreement(act.matrix)
    reasons: Counter[str] = Counter()
    for drops in act.drops.values():
        reasons.update({reason.label: count for reason, count in drops.items()})
    counted = ", ".join(f"{label} {count:,}" for label, count in reasons.most_common())
    _verdict(not act.uncounted, f"packets dropped for {closed} denied probes: {counted or 'none'}")


def _revoked(act: Revoked) -> None:
    _title("Revoked while it flows", f"{SUSPECT} is compromised; a new file on every host")
    for text in act.diff:
        line(f"  {paint(text, Style.GREEN if text.startswith('+') else Style.RED)}")
    line()
    for cut in act.cuts:
        _verdict(cut.held, f"{_way(cut.wire, cut.source, cut.destination)}: {_end(cut)}")
    _kept(act.kept)
    lost, waited = sum(cut.in_vain for cut in act.cuts), _ms(act.rename_to_commit_ns)
    line(f"    {lost:,} packets sent in vain; the commit came {waited} after the new file")


def _orphaned(act: Orphaned) -> None:
    _title("Every agent killed", "SIGKILL; all is tried again; then new agents take over")
    _agreement(act.matrix, "with no agent alive, ")
    for kept in act.kept:
        _kept(kept)


def _kept(kept: Kept) -> None:
    fate = kept.fault or f"flows on, longest gap {_ms(kept.gap_ns)}"
    wire = kept.wire
    _verdict(kept.held, f"{_way(wire, wire.source, wire.destination)}: {fate}")


def status(host: str, outcome: Outcome) -> None:
    """What a host that failed says of itself."""
    _title(f"krait status on {host}", "")
    for each in (outcome.stdout + outcome.stderr).splitlines():
        line(f"  {each}")


def kept(hosts: Iterable[Host], keeper_pid: int) -> None:
    """What to try while the machines stay up."""
    _title("Left up", "paste the first lines into a shell of root, then try the others")
    for host in hosts:
        line(f'  {host.name}() {{ {" ".join(host.prefix)} "$@"; }}')
    line(f"  krait={quote(' '.join(ourselves()))}")
    line()
    line("  web2 timeout 2 bash -c '</dev/tcp/10.8.0.1/5432' && echo open")
    line("  web2 timeout 2 bash -c '</dev/tcp/10.8.0.1/22' || echo closed")
    line(f"  db1 $krait status {INTERFACE}")
    line(f"  db1 $krait explain {POLICY} web1 db1 tcp/5432")
    line(f"  $krait demo --down    # or kill {keeper_pid}: all of it goes with that process")


def closing(acts: Iterable[Act], took_s: float, *, left_up: bool) -> None:
    """The last line."""
    line()
    end = "" if left_up else " Nothing is left behind."
    if failed := [type(act).__name__.lower() for act in acts if not act.held]:
        text = f"✗ Not as it should be: {', '.join(failed)}, in {took_s:.0f} s.{end}"
        line(paint(text, Style.RED, Style.BOLD))
    else:
        text = f"✓ Every cell agrees and every act held, in {took_s:.0f} s.{end}"
        line(paint(text, Style.GREEN, Style.BOLD))


def _matrix(matrix: Matrix) -> None:
    for text in (*grid.draw(matrix), *grid.legend(matrix), ""):
        line(text)


def _agreement(matrix: Matrix, when: str = "") -> None:
    """How many cells agree, and the first that do not."""
    bad = wrong(matrix)
    _verdict(not bad, f"{when}{len(matrix) - len(bad)} of {len(matrix)} cells agree")
    for outcome in bad[:_FEW]:
        answer = _ANSWERS.get(outcome.answer, outcome.answer)
        text = f"{outcome.cell}: {answer}, but {why(outcome.decision)} it"
        for piece in wrap(text, WIDTH, initial_indent="    ", subsequent_indent="      "):
            line(piece)
    if len(bad) > _FEW:
        line(f"    and {len(bad) - _FEW} more")


def _title(title: str, about: str) -> None:
    line()
    line(f"{paint(title, Style.BOLD, Style.CYAN)}  {paint(about, Style.DIM)}".rstrip())


def _verdict(held: bool, text: str) -> None:
    mark = paint("✓", Style.GREEN) if held else paint("✗", Style.RED, Style.BOLD)
    line(f"  {mark} {text}")


def _way(wire: Wire, source: str, destination: str) -> str:
    return f"{wire} over IPv{wire.family}, {source} to {destination}"


def _end(cut: Cut) -> str:
    if cut.sent_after_ns > 0:
        return f"passes {_ms(cut.sent_after_ns)} after the commit"
    if not cut.in_vain:
        return "ended by its sender"
    if cut.heard_after_ns <= 0:
        return "cut, unheard since the commit"
    return f"cut, last heard {_ms(cut.heard_after_ns)} after the commit"


def _ms(duration_ns: int) -> str:
    milliseconds = duration_ns / 1e6
    return f"{milliseconds:.1f} ms" if milliseconds < 10 else f"{milliseconds:.0f} ms"
