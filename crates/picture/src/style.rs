//! Colours, for light and for dark.
//!
//! Those of Okabe and Ito, which people with any kind of colour blindness tell apart, as far as they reach; the kinds
//! that are most often side by side have the ones that are farthest from each other. No meaning is in colour alone: legends have words and
//! numbers, states have signs.

use crate::model::Class;

/// The class of a shape that shows bytes of a kind.
pub(crate) const fn fill(class: Class) -> &'static str {
    match class {
        Class::Table => "c-table",
        Class::Boot => "c-boot",
        Class::Records => "c-records",
        Class::Mirror => "c-mirror",
        Class::Log => "c-log",
        Class::Allocation => "c-alloc",
        Class::Directories => "c-dirs",
        Class::Metadata => "c-meta",
        Class::Files => "c-files",
        Class::Packed => "c-packed",
        Class::Streams => "c-streams",
        Class::Unknown => "c-unknown",
        Class::Free => "c-free",
    }
}

/// Hues of a treemap.
pub(crate) const HUES: usize = 8;

/// Name, colour where it is light, and where it is dark.
const FILLS: [(&str, &str, &str); 36] = [
    ("paper", "#ffffff", "#16181b"),
    ("box", "#f4f5f6", "#24272b"),
    ("track", "#eceeef", "#2b2f34"),
    ("c-files", "#0072b2", "#3d9ad6"),
    ("c-packed", "#56b4e9", "#8fd0f5"),
    ("c-streams", "#5b5fc7", "#9a9df0"),
    ("c-dirs", "#009e73", "#2fc79b"),
    ("c-records", "#e69f00", "#f0b429"),
    ("c-mirror", "#8c4a00", "#c98a4b"),
    ("c-log", "#cc79a7", "#e094bf"),
    ("c-alloc", "#7a3e8e", "#b57fca"),
    ("c-meta", "#8a8a00", "#cfcf4a"),
    ("c-boot", "#d55e00", "#f58442"),
    ("c-table", "#1d1d1d", "#e8e8e8"),
    ("c-unknown", "#8d9298", "#767c84"),
    ("c-free", "#e4e7ea", "#2f343a"),
    ("stored", "#3b4148", "#b9c0c8"),
    ("plain", "#d3d8dd", "#3c4249"),
    ("ok", "#e3f4ee", "#123528"),
    ("warning", "#fff2d6", "#3d2f0a"),
    ("broken", "#fde3e0", "#471712"),
    ("beyond", "#f0f1f2", "#25282c"),
    ("sign-ok", "#00734f", "#35c99a"),
    ("sign-warning", "#8a5a00", "#f0b429"),
    ("sign-broken", "#b3261e", "#ff8a80"),
    ("sign-beyond", "#5c6369", "#9aa2aa"),
    ("arrow", "#6a7178", "#9aa2aa"),
    ("t0", "#cfe3f5", "#1d3f5e"),
    ("t1", "#fbe3bd", "#5a4210"),
    ("t2", "#cdebdf", "#12493a"),
    ("t3", "#f4d5e5", "#582b43"),
    ("t4", "#dcdcf7", "#35366b"),
    ("t5", "#e8e6b8", "#4a4814"),
    ("t6", "#fad6c3", "#5f2f14"),
    ("t7", "#d9eef9", "#1b4a5c"),
    ("t-others", "#eceeef", "#2b2f34"),
];

/// The colours of labels.
const INKS: [(&str, &str, &str); 6] = [
    ("ink", "#16191c", "#eceff1"),
    ("soft", "#4a5158", "#b4bcc4"),
    ("i-ok", "#00573c", "#7fe0bf"),
    ("i-warning", "#6b4500", "#ffd479"),
    ("i-broken", "#8c1d16", "#ffb4ab"),
    ("i-beyond", "#4a5158", "#b4bcc4"),
];

/// The rules that drawings need.
pub(crate) fn sheet() -> String {
    let mut light = String::new();
    let mut dark = String::new();
    for (name, in_light, in_dark) in FILLS.into_iter().chain(INKS) {
        light += &format!(".{name}{{fill:{in_light}}}\n");
        dark += &format!(".{name}{{fill:{in_dark}}}\n");
    }
    // Printers have white paper.
    format!(
        "text{{font-family:system-ui,'Segoe UI','Helvetica Neue',Arial,sans-serif;direction:ltr;unicode-bidi:isolate}}\n\
         .h{{font-size:17px;font-weight:600}}\n.n{{font-size:13px}}\n.s{{font-size:11.5px}}\n\
         .edge{{fill:none;stroke:#8d9298;stroke-width:1}}\n.t{{stroke:#ffffff;stroke-width:1}}\n{light}\
         @media screen and (prefers-color-scheme:dark){{\n.t{{stroke:#16181b}}\n{dark}}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2: the contrast of two colours.
    fn contrast(a: &str, b: &str) -> f64 {
        let luminance = |color: &str| {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn labels_can_be_read_on_whatever_they_lie() {
        let find = |name: &str| FILLS.into_iter().chain(INKS).find(|fill| fill.0 == name).unwrap();
        let mut pairs = vec![
            ("ink", "paper"),
            ("soft", "paper"),
            ("ink", "box"),
            ("soft", "box"),
            ("ink", "t-others"),
            ("soft", "t-others"),
        ];
        for state in ["ok", "warning", "broken", "beyond"] {
            pairs.push(("ink", state));
            pairs.push(("soft", state));
            pairs.push((find(&format!("i-{state}")).0, state));
        }
        pairs.extend(
            FILLS
                .iter()
                .filter(|fill| fill.0.len() == 2)
                .flat_map(|fill| [("ink", fill.0), ("soft", fill.0)]),
        );
        for (ink, fill) in pairs {
            let (ink, fill) = (find(ink), find(fill));
            for (a, b) in [(ink.1, fill.1), (ink.2, fill.2)] {
                assert!(contrast(a, b) >= 4.5, "{} on {}: {:.2}", ink.0, fill.0, contrast(a, b));
            }
        }
    }

    #[test]
    fn every_kind_has_a_colour_of_its_own_that_stands_out() {
        let mut seen = Vec::new();
        for class in Class::ALL {
            let found = FILLS.iter().find(|known| known.0 == fill(class)).unwrap();
            assert!(!seen.contains(&found.1));
            seen.push(found.1);
            if class != Class::Free {
                let free = FILLS.iter().find(|known| known.0 == "c-free").unwrap();
                assert!(contrast(found.1, free.1) >= 1.5, "{}", found.0);
                assert!(contrast(found.2, free.2) >= 1.5, "{}", found.0);
            }
        }
    }
}
