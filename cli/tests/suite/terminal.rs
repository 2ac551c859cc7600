//! Terminals: a bar that fits, moves, and leaves nothing behind; colours where they are wanted. A Python script opens a
//! pseudo-terminal of a given width, runs the program in it, and keeps what a screen would show at the end.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::{fixture, tool};

use crate::support::{PROGRAM, scratch, wimforge};

/// What was written to a terminal, and what of it is to be seen at the end.
struct Screen {
    raw: String,
    lines: Vec<String>,
    /// What was written after the terminal had become narrower.
    narrowed: String,
    code: i64,
}

fn terminal(python: &Path, columns: u32, settings: &[(&str, &str)], words: &[&str]) -> Screen {
    resized(python, &[columns], settings, words)
}

/// The same in a terminal that has the second width from the first bar on.
fn resized(python: &Path, columns: &[u32], settings: &[(&str, &str)], words: &[&str]) -> Screen {
    let mut command = Command::new(python);
    let columns: Vec<String> = columns.iter().map(u32::to_string).collect();
    command.args(["-c", SCRIPT, &columns.join(":"), PROGRAM]).args(words);
    command
        .env_remove("NO_COLOR")
        .env_remove("CI")
        .env("TERM", "xterm-256color")
        .envs(settings.iter().copied());
    let output = command.output().expect("Python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let lines = said["lines"]
        .as_array()
        .expect("lines")
        .iter()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    Screen {
        raw: said["raw"].as_str().expect("text").to_owned(),
        lines,
        narrowed: said["narrowed"].as_str().expect("text").to_owned(),
        code: said["code"].as_i64().expect("a code"),
    }
}

/// Long enough that bars are drawn: work of some seconds, with one thread.
fn long_work(folder: &Path) -> (String, String) {
    let wim = folder.join("many.wim");
    fixture::many(30_000).save(&wim);
    (wim.to_string_lossy().into_owned(), folder.join("out.vmdk").to_string_lossy().into_owned())
}

#[test]
fn a_bar_fits_moves_and_goes() {
    let Some(python) = tool("python3") else { return };
    let scratch = scratch();
    let (wim, out) = long_work(scratch.path());
    for columns in [100, 40, 30] {
        let words = ["build", &wim, "-o", &out, "--force", "-j", "1"];
        let screen = terminal(python.path(), columns, &[], &words);
        assert_eq!(screen.code, 0, "{}", screen.raw);
        assert!(screen.raw.contains('%') && screen.raw.contains("building"), "{columns}: {:?}", screen.raw);
        assert!(screen.raw.contains("B/s"), "{columns}: no rate");
        // Nothing of it is left: the report, and perhaps notes.
        let left: Vec<_> =
            screen.lines.iter().filter(|line| line.contains('%') || line.contains("building")).collect();
        assert!(left.is_empty(), "{columns}: {left:?}");
        assert!(screen.lines.iter().any(|line| line.starts_with("built ")), "{:?}", screen.lines);
    }
    // Quiet is quiet, and what is no terminal gets no bar.
    let screen =
        terminal(python.path(), 80, &[], &["build", &wim, "-o", &out, "--force", "-j", "1", "--quiet"]);
    assert!(!screen.raw.contains('%') && !screen.raw.contains('\u{1b}'), "{:?}", screen.raw);
    let screen =
        terminal(python.path(), 80, &[("TERM", "dumb")], &["build", &wim, "-o", &out, "--force", "-j", "1"]);
    assert!(!screen.raw.contains('\u{1b}'), "{:?}", screen.raw);
    let ended = wimforge(["build", &wim, "-o", &out, "--force", "-j", "1"]).well();
    assert!(!ended.stderr.contains(['\u{1b}', '\r']), "{:?}", ended.stderr);
}

#[test]
fn a_bar_follows_the_width_of_the_terminal() {
    let Some(python) = tool("python3") else { return };
    let scratch = scratch();
    let (wim, out) = long_work(scratch.path());
    let words = ["build", &wim, "-o", &out, "--force", "-j", "1"];
    let screen = resized(python.path(), &[100, 40], &[], &words);
    assert_eq!(screen.code, 0, "{}", screen.raw);
    // Bars are redrawn from the beginning of the line.
    let bars = |text: &str| -> Vec<usize> {
        let lines = text.split(['\r', '\n', '\u{1b}']).filter(|line| line.contains("building"));
        lines.map(|line| line.chars().count()).collect()
    };
    // Letters of the sequences between them, such as `[2K`, count at most for four.
    assert!(bars(&screen.raw).iter().any(|&columns| columns > 80), "{:?}", screen.raw);
    // The first may have been on its way when the width changed.
    let narrow = bars(&screen.narrowed);
    assert!(narrow.len() > 1, "nothing was drawn after that: {:?}", screen.narrowed);
    assert!(narrow[1..].iter().all(|&columns| columns <= 44), "{narrow:?}: {:?}", screen.narrowed);
}

#[test]
fn colours_where_they_are_wanted() {
    let Some(python) = tool("python3") else { return };
    let coloured = |settings: &[(&str, &str)], words: &[&str]| {
        terminal(python.path(), 80, settings, words).raw.contains('\u{1b}')
    };
    for words in [&["--help"][..], &["buidl"], &["build", "--help"], &["ls"]] {
        assert!(coloured(&[], words), "{words:?}: no colours on a terminal");
        assert!(!coloured(&[("NO_COLOR", "1")], words), "{words:?}: NO_COLOR");
        assert!(!coloured(&[("TERM", "dumb")], words), "{words:?}: TERM=dumb");
        assert!(!coloured(&[("CLICOLOR", "0")], words), "{words:?}: CLICOLOR=0");
    }
    // No colours in what is printed otherwise, and none where there is no terminal.
    assert!(!coloured(&[], &["preset"]));
    assert!(!coloured(&[], &["info", "nosuch"]));
    for words in [&["--help"][..], &["buidl"]] {
        let ended = wimforge(words);
        assert!(!ended.stdout.contains(&0x1B) && !ended.stderr.contains('\u{1b}'), "{words:?}");
    }
}

const SCRIPT: &str = r#"
import fcntl, json, os, pty, re, struct, sys, termios
widths, words = [int(width) for width in sys.argv[1].split(':')], sys.argv[2:]
columns, narrowed = widths[0], None
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    os.execv(words[0], words)
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
raw = b''
while True:
    try:
        part = os.read(terminal, 65536)
    except OSError:
        break
    if not part:
        break
    raw += part
    if len(widths) > 1 and narrowed is None and b'%' in raw:
        # The kernel sends SIGWINCH to whoever runs in it.
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack('HHHH', 24, widths[1], 0, 0))
        narrowed = len(raw)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
text = raw.decode('utf-8', 'replace')
# What a screen of that width shows: enough of a terminal for a bar.
lines, row, column = [''], 0, 0
for token in re.findall(r'\x1b\[[0-9;?]*[A-Za-z]|.', text, re.S):
    if token == '\r':
        column = 0
    elif token == '\n':
        row += 1
        if row == len(lines):
            lines.append('')
    elif token.startswith('\x1b['):
        count = int(re.sub(r'[^0-9]', '', token) or 1)
        kind = token[-1]
        if kind == 'K':
            lines[row] = '' if token == '\x1b[2K' else lines[row][:column]
        elif kind == 'A':
            row = max(0, row - count)
        elif kind == 'B':
            row += count
        elif kind == 'G':
            column = count - 1
        while row >= len(lines):
            lines.append('')
    else:
        if column >= columns:
            row, column = row + 1, 0
            if row == len(lines):
                lines.append('')
        line = lines[row].ljust(column)
        lines[row] = line[:column] + token + line[column + 1:]
        column += 1
after = '' if narrowed is None else raw[narrowed:].decode('utf-8', 'replace')
print(json.dumps({'raw': text, 'lines': lines, 'code': code, 'narrowed': after}))
"#;
