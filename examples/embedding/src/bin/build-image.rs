//! Makes a bootable disk of a WIM, on threads of our own, and shows how far it is in a way of our own.
//!
//!     build-image FILE.wim OUTPUT
//!
//! The container follows from the output's extension: `.vhdx`, `.vmdk`, `.qcow2`, ...
#![expect(clippy::print_stdout, reason = "an example")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use image::{Counters, Output, Plan, Recipe, Run};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let (Some(source), Some(output)) = (args.next(), args.next()) else {
        return Err("usage: build-image FILE.wim OUTPUT".into());
    };
    let mut recipe = Recipe::new(source, Output::File(output.into()));
    recipe.size = Some(4 << 30);
    // Ids come from the seed and times from the recipe: the same recipe makes the same bytes.
    recipe.seed = Some("example".to_owned());

    // A program that has a pool passes its own; nothing else of it is used, and no other thread is started for work.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build()?;
    let (cancel, counters) = (AtomicBool::new(false), Counters::default());
    // Neither threads nor memory change a byte of the output.
    let run = Run { memory: 64 << 20, ..Run::new(&pool, &cancel, &counters) };

    // Reads the source's metadata and decides where every byte of the disk comes from. Nothing is written yet.
    let plan = Plan::new(recipe, run)?;
    for partition in &plan.summary().partitions {
        println!("{}: {} bytes at {}", partition.name, partition.size, partition.start);
    }
    for note in &plan.summary().notes {
        println!("note: {note}");
    }

    std::thread::scope(|scope| {
        let (done, wait) = channel::<()>();
        let counters = &counters;
        scope.spawn(move || {
            // Polled, so that the work never waits for whoever watches. Setting `cancel` from here would stop it, and
            // leave no file behind.
            while wait.recv_timeout(Duration::from_millis(200)) == Err(RecvTimeoutError::Timeout) {
                let (rendered, total) = (&counters.rendered, &counters.total);
                println!("{} of {} bytes", rendered.load(Ordering::Relaxed), total.load(Ordering::Relaxed));
            }
        });
        let written = plan.write(run);
        drop(done);
        written
    })?;
    println!("{} bytes of content checked", counters.hashed.load(Ordering::Relaxed));
    Ok(())
}
