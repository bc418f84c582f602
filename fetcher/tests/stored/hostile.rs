//! Bytes that nobody wrote: whatever a store holds of a key, the answer is values or an error, never a panic, and takes no
//! memory that its length does not justify.
//!
//! The second test runs the first once more in a process that may take a gigabyte and no more.

use std::process::Command;

use unskewed_kernel::naive::generate::Random;

use super::world::{BATCH_END, ROWS, TILES, World};

/// Says to a run of this program that it is the bounded one.
const BOUNDED: &str = "UNSKEWED_HOSTILE_BOUNDED";
const ROUNDS: u64 = 400;

/// Bytes with something wrong: cut, lengthened, changed here and there, or all of them random.
fn spoiled(random: &mut Random, right: &[u8]) -> Vec<u8> {
    let mut bytes = right.to_vec();
    let any = |random: &mut Random| random.number() as u8;
    match random.below(5) {
        0 => bytes.truncate(random.below(bytes.len() as u64 + 1) as usize),
        1 => bytes.extend((0..random.below(20)).map(|_| any(random))),
        2 => {
            bytes.clear();
            bytes.extend((0..random.below(80)).map(|_| any(random)));
        }
        // Long numbers in place of short ones: counts and lengths beyond all memory.
        3 => {
            let at = random.below(bytes.len() as u64 + 1) as usize;
            let huge = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
            bytes.splice(at..at, huge[random.below(6) as usize..].iter().copied());
        }
        _ => {
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len().max(1) as u64) as usize;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = any(random);
                }
            }
        }
    }
    bytes
}

/// Wrong bytes of streams and of batches, rows and tiles.
#[test]
fn bytes_that_nobody_wrote() {
    let (mut failed, mut answered) = (0, 0);
    for seed in 0..12 {
        let mut world = World::new(seed + 7_700);
        let mut random = Random::new(seed);
        let (batch, query) = (world.batch(), world.queries()[2]);
        let mut count = |outcome: bool| if outcome { answered += 1 } else { failed += 1 };
        for _ in 0..ROUNDS / 12 {
            let [rows, tiles] = world.streamed(query);
            for (name, right) in [(ROWS, rows), (TILES, tiles)] {
                world.put(name, &spoiled(&mut random, &right));
                count(world.asked(name, query).is_ok());
            }
        }
        world.put_until(BATCH_END);
        for _ in 0..ROUNDS / 12 {
            for name in [ROWS, TILES] {
                world.load(name, &spoiled(&mut random, &batch));
                count(world.asked(name, query).is_ok());
            }
        }
    }
    assert!(
        failed > 300 && answered > 100,
        "{failed} failed, {answered} were answered"
    );
}

/// The same within a gigabyte of memory.
#[test]
fn wrong_bytes_take_no_memory() {
    if std::env::var_os(BOUNDED).is_some() {
        return;
    }
    let bounded = "ulimit -v 1048576 && exec \"$0\" --exact hostile::bytes_that_nobody_wrote";
    let mut command = Command::new("sh");
    command
        .args(["-c", bounded])
        .arg(std::env::current_exe().unwrap());
    let output = command.env(BOUNDED, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && shown.contains("1 passed"),
        "{shown}{told}"
    );
}
