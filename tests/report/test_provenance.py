"""What a page says of its gate, and of the way back to the files."""

from tissuetrace.report.pages import Commands, Paragraph
from tissuetrace.report.provenance import footer, rules_table, trace_section, verdict_words

EVIDENCE = {
    "findings": [
        {"rule": "a", "severity": "critical", "held": True, "found": "0", "bound": "0"},
        {"rule": "b", "severity": "warning", "held": False, "found": "7", "bound": "30 or more"},
        {"rule": "c", "severity": "critical", "held": False, "found": "2", "bound": "0"},
    ]
}
TOKEN = {"verdict": "pass", "token": "0123456789abcdef0123456789abcdef"}


def test_a_rule_holds_warns_or_refuses() -> None:
    table = rules_table(EVIDENCE, note="Drawn.")

    assert table.frame["state"].tolist() == ["holds", "warning", "REFUSES"]
    assert "held" not in table.frame
    assert table.caption.endswith("Drawn.")


def test_the_verdict_counts_the_rules_that_did_not_hold() -> None:
    words = verdict_words(EVIDENCE, TOKEN, also="patches")

    assert "verdict is 'pass'; of 3 rules 2 did not hold" in words
    assert "with it the patches that the page reads" in words


def test_the_way_back_names_what_lies_beside_the_page() -> None:
    plain, more = trace_section(["ls"]), trace_section(["ls"], beside="b.csv has the rest.")

    paragraph, commands = more.blocks
    assert isinstance(paragraph, Paragraph)
    assert " b.csv has the rest. To follow" in paragraph.text
    assert isinstance(commands, Commands)
    assert isinstance(plain.blocks[0], Paragraph)
    assert "page. To follow" in plain.blocks[0].text


def test_the_last_line_says_what_the_source_says_of_its_licence() -> None:
    line = "tissuetrace, study imc. Gate token 0123456789abcdef."

    assert footer("imc", TOKEN, {"kind": "phantom"}) == line
    assert footer("imc", TOKEN, {"licence": "CC BY 4.0", "doi": "10.1/x"}) == (
        f"{line} Images: CC BY 4.0, 10.1/x."
    )
