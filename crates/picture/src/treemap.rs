//! Areas for sizes: a rectangle cut into parts that are as square as can be (Bruls, Huizing, van Wijk: Squarified
//! Treemaps, 2000).

use crate::canvas::Area;

/// A part of `area` for each of `sizes`, which descend; parts are to each other as the sizes are.
pub(crate) fn squarified(sizes: &[u64], area: Area) -> Vec<Area> {
    let total: f64 = sizes.iter().map(|&size| size as f64).sum();
    let mut areas = Vec::with_capacity(sizes.len());
    if total <= 0.0 || area.w <= 0.0 || area.h <= 0.0 {
        areas.resize(sizes.len(), Area { w: 0.0, h: 0.0, ..area });
        return areas;
    }
    let scale = area.w * area.h / total;
    let mut free = area;
    let mut row = 0..0;
    let mut row_sum = 0.0;
    while row.end < sizes.len() {
        let size = sizes[row.end] as f64 * scale;
        let side = free.w.min(free.h);
        let first = sizes[row.start] as f64 * scale;
        // The sizes descend, so the first and the last are the extremes.
        let last = if row.is_empty() { size } else { sizes[row.end - 1] as f64 * scale };
        let better =
            row.is_empty() || worst(first, size, row_sum + size, side) <= worst(first, last, row_sum, side);
        if better {
            row.end += 1;
            row_sum += size;
            if row.end < sizes.len() {
                continue;
            }
        }
        free = lay(&sizes[row.clone()], scale, row_sum, free, &mut areas);
        row = row.end..row.end;
        row_sum = 0.0;
    }
    areas
}

/// The ratio of the longer to the shorter side of the part that is least like a square.
fn worst(largest: f64, smallest: f64, sum: f64, side: f64) -> f64 {
    let square = side * side;
    if sum <= 0.0 || smallest <= 0.0 || square <= 0.0 {
        return f64::INFINITY;
    }
    (square * largest / (sum * sum)).max(sum * sum / (square * smallest))
}

/// Lays a row along the shorter side; returns what is left.
fn lay(sizes: &[u64], scale: f64, sum: f64, free: Area, areas: &mut Vec<Area>) -> Area {
    let upright = free.w >= free.h;
    let side = if upright { free.h } else { free.w };
    let depth = if side > 0.0 { (sum / side).min(if upright { free.w } else { free.h }) } else { 0.0 };
    let mut at = 0.0;
    for &size in sizes {
        let len = if sum > 0.0 { size as f64 * scale / sum * side } else { 0.0 };
        areas.push(match upright {
            true => Area::new(free.x, free.y + at, depth, len),
            false => Area::new(free.x + at, free.y, len, depth),
        });
        at += len;
    }
    match upright {
        true => Area::new(free.x + depth, free.y, (free.w - depth).max(0.0), free.h),
        false => Area::new(free.x, free.y + depth, free.w, (free.h - depth).max(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_paper() {
        let areas = squarified(&[6, 6, 4, 3, 2, 2, 1], Area::new(0.0, 0.0, 6.0, 4.0));
        let ratios = areas.iter().map(|area| (area.w / area.h).max(area.h / area.w));
        assert!(ratios.fold(0.0, f64::max) < 2.8, "{areas:?}");
        assert_eq!((areas[0].w, areas[0].h), (3.0, 2.0));
    }

    proptest! {
        #[test]
        fn parts_have_their_sizes_and_do_not_overlap(mut sizes in prop::collection::vec(0u64..1 << 40, 1..60)) {
            sizes.sort_by_key(|&size| std::cmp::Reverse(size));
            let whole = Area::new(10.0, 20.0, 900.0, 500.0);
            let areas = squarified(&sizes, whole);
            prop_assert_eq!(areas.len(), sizes.len());
            let total: f64 = sizes.iter().map(|&size| size as f64).sum();
            for (area, &size) in areas.iter().zip(&sizes) {
                prop_assert!(area.x >= 10.0 - 1e-6 && area.x + area.w <= 910.0 + 1e-6);
                prop_assert!(area.y >= 20.0 - 1e-6 && area.y + area.h <= 520.0 + 1e-6);
                if total > 0.0 {
                    let wanted = size as f64 / total * 450_000.0;
                    prop_assert!((area.w * area.h - wanted).abs() < 1.0, "{} instead of {wanted}", area.w * area.h);
                }
            }
            for (number, a) in areas.iter().enumerate() {
                for b in &areas[number + 1..] {
                    let over = |a: f64, al: f64, b: f64, bl: f64| (a + al).min(b + bl) - a.max(b);
                    let (x, y) = (over(a.x, a.w, b.x, b.w), over(a.y, a.h, b.y, b.h));
                    prop_assert!(x < 1e-6 || y < 1e-6, "{a:?} and {b:?}");
                }
            }
        }
    }
}
