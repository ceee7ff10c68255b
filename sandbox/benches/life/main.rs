//! What a sandbox's whole life costs, from dispatch to reset, without a network.
//!
//! ```text
//!   cargo bench -p sandbox --bench life            all
//!   cargo bench -p sandbox --bench life -- hello   the guests and tables whose names have it
//! ```
//!
//! Beside each figure stands, measured in the same run, that of a plain loop over wasmtime and
//! wasmtime-wasi with the default pooling configuration. The two take turns, and what is printed is
//! the median of the rounds' ratios: figures of one machine and one minute say little, a ratio of
//! neighbours says more. Every result is compared with the loop's, so that both do the same work.

mod guests;
mod reference;

use std::hint::black_box;
use std::task::Waker;
use std::time::Instant;

use guests::Guest;
use reference::Reference;
use sandbox::{Call, Compiler, Directory, Exit, FunctionConfig, Runtime, Settings, Step};

/// How often the two take turns.
const ROUNDS: usize = 41;

/// How long one turn takes, about.
const TURN_NS: f64 = 8e6;

fn main() {
    // The last core: interrupts prefer the first.
    if let Some(core) = core_affinity::get_core_ids().and_then(|cores| cores.last().copied()) {
        core_affinity::set_for_current(core);
    }
    let reactor = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a reactor");
    let settings = Settings::default();
    println!(
        "preemption {:?}, reset by {}",
        settings.preemption,
        match sandbox::pagemap_scan() {
            true => "PAGEMAP_SCAN",
            false => "madvise",
        }
    );
    let wanted: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| word != "--bench")
        .collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|it| name.contains(&**it));
    let guests: Vec<_> = guests::all()
        .into_iter()
        .filter(|guest| is_wanted(guest.name))
        .collect();
    if !guests.is_empty() {
        lives(&guests, &settings, reactor.handle());
    }
    if let Some(empty) = guests.iter().find(|guest| guest.name == "empty") {
        completion(empty, &settings, reactor.handle());
    }
    if is_wanted("yield") {
        yields(&settings, reactor.handle());
    }
    if is_wanted("dirtied") {
        dirtied(&settings, reactor.handle());
        inherited(&settings, reactor.handle());
    }
}

/// Our worker with one function and one slot in use: the warmest.
struct Ours {
    runtime: Runtime,
    call: Call,
}

impl Ours {
    fn new(settings: &Settings, reactor: &tokio::runtime::Handle, guest: &Guest) -> Ours {
        let compiler = Compiler::new(settings, None).expect("a compiler");
        let artifact = compiler.compile(&guest.wasm).expect("compiles");
        let directory = Directory {
            host: std::env::temp_dir(),
            guest: "/tmp".to_owned(),
            writable: false,
        };
        let config = FunctionConfig {
            name: "guest".to_owned(),
            directories: guest
                .has_directory
                .then_some(directory)
                .into_iter()
                .collect(),
            ..FunctionConfig::default()
        };
        let functions = [(artifact, config)];
        Ours {
            runtime: Runtime::new(settings, &functions, reactor.clone()).expect("a runtime"),
            call: Call::default(),
        }
    }

    /// One life, with its reset.
    fn run(&mut self, guest: &Guest) {
        self.complete(guest);
        self.runtime.reset(0);
    }

    /// One life until its end is known. The call's buffers are used again, as the server does.
    fn complete(&mut self, guest: &Guest) {
        let mut call = std::mem::take(&mut self.call);
        call.arguments.clear();
        sandbox::push_arguments(guest.query.as_bytes(), &mut call.arguments);
        call.stdin.clear();
        call.stdin.extend_from_slice(&guest.stdin);
        call.stdout.clear();
        call.stderr.clear();
        self.runtime.start(0, 0, call, Waker::noop().clone());
        loop {
            match self.runtime.resume(0) {
                Step::Finished(outcome) => {
                    assert_eq!(outcome.exit, Exit::Success, "{}", guest.name);
                    self.call = outcome.call;
                    return;
                }
                Step::Preempted | Step::Yielded => {}
                Step::Blocked => panic!("{} waits", guest.name),
            }
        }
    }
}

fn lives(guests: &[Guest], settings: &Settings, reactor: &tokio::runtime::Handle) {
    println!("\na life, median of {ROUNDS} rounds in turn");
    println!("  guest             luge us   loop us   ratio   quartiles");
    for guest in guests {
        let mut ours = Ours::new(settings, reactor, guest);
        let reference = Reference::new(&guest.wasm);
        ours.run(guest);
        assert_eq!(ours.call.stdout, reference.run(guest), "{}", guest.name);
        let turns = in_turn(&mut || ours.run(guest), &mut || {
            black_box(reference.run(guest));
        });
        let [a, b, low, ratio, high] = turns;
        println!(
            "  {:16} {a:8.2}  {b:8.2}   {ratio:5.3}   {low:.3} to {high:.3}",
            guest.name
        );
    }
}

/// From dispatch to completion, single lives as a server leads them: the clock is read before the start and when
/// the guest's end is known.
fn completion(guest: &Guest, settings: &Settings, reactor: &tokio::runtime::Handle) {
    const LIVES: usize = 20_000;
    let mut ours = Ours::new(settings, reactor, guest);
    let mut times: Vec<_> = (0..LIVES)
        .map(|_| {
            let us = each_us(1, &mut || ours.complete(guest));
            ours.runtime.reset(0);
            us
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[(LIVES as f64 * part) as usize];
    println!(
        "\n{}, dispatch to completion: median {:.2} us, p99 {:.2} us, of {LIVES} lives",
        guest.name,
        at(0.5),
        at(0.99)
    );
}

/// Medians of both in microseconds, and the quartiles of their ratio.
fn in_turn(a: &mut dyn FnMut(), b: &mut dyn FnMut()) -> [f64; 5] {
    let counts = [count(a), count(b)];
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((each_us(counts[0], a), each_us(counts[1], b)));
    }
    let quantile = |part: f64, of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[((values.len() - 1) as f64 * part) as usize]
    };
    let ratio = |round: &(f64, f64)| round.0 / round.1;
    [
        quantile(0.5, |round| round.0),
        quantile(0.5, |round| round.1),
        quantile(0.25, ratio),
        quantile(0.5, ratio),
        quantile(0.75, ratio),
    ]
}

/// How many make a turn; warms up.
fn count(work: &mut dyn FnMut()) -> u32 {
    each_us(3, work);
    let us = each_us(10, work);
    let count = (TURN_NS / 1e3 / us).max(1.0) as u32;
    each_us(count, work);
    count
}

fn each_us(count: u32, work: &mut dyn FnMut()) -> f64 {
    let begun = Instant::now();
    (0..count).for_each(|_| work());
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(count)
}

/// One way out of a guest and back in: a fiber switch each way, and what the runtime does around it.
fn yields(settings: &Settings, reactor: &tokio::runtime::Handle) {
    let guest = guests::yields_for_ever();
    let mut ours = Ours::new(settings, reactor, &guest);
    ours.runtime
        .start(0, 0, Call::default(), Waker::noop().clone());
    let mut resume = || match ours.runtime.resume(0) {
        Step::Yielded => {}
        step => panic!("{step:?}"),
    };
    let mut times: Vec<_> = (0..ROUNDS).map(|_| each_us(10_000, &mut resume)).collect();
    times.sort_by(f64::total_cmp);
    println!(
        "\na yield and its resumption: {:.3} us, median of {ROUNDS} rounds",
        times[ROUNDS / 2]
    );
}

/// What a life costs by the pages that it dirtied, and by the size of its memory.
fn dirtied(settings: &Settings, reactor: &tokio::runtime::Handle) {
    println!("\na life by what it dirtied, median of {ROUNDS} rounds");
    println!("  memory KiB   dirtied KiB        us   us a page");
    let sizes_kib = [0, 4, 16, 64, 256, 1024, 2048, 4096, 16_384];
    let rows = sizes_kib.map(|dirty_kib| (16_384 + 64, dirty_kib));
    let memories_kib = [1024, 4096, 65_536, 262_144];
    let by_memory = memories_kib.map(|memory_kib| (memory_kib, 64));
    let mut empty_us = 0.0;
    for (memory_kib, dirty_kib) in rows.into_iter().chain(by_memory) {
        let guest = guests::dirties(memory_kib, dirty_kib);
        let mut ours = Ours::new(settings, reactor, &guest);
        let mut run = || ours.run(&guest);
        let count = count(&mut run);
        let mut times: Vec<_> = (0..ROUNDS).map(|_| each_us(count, &mut run)).collect();
        times.sort_by(f64::total_cmp);
        let us = times[ROUNDS / 2];
        if dirty_kib == 0 {
            empty_us = us;
        }
        let pages = f64::from(dirty_kib) / 4.0;
        let a_page = if pages > 0.0 {
            (us - empty_us) / pages
        } else {
            0.0
        };
        println!("  {memory_kib:10}   {dirty_kib:11}  {us:8.2}   {a_page:9.3}");
    }
}

/// What small lives cost after one large one in the same memory: they inherit its pages, until one
/// of them gives these back.
fn inherited(settings: &Settings, reactor: &tokio::runtime::Handle) {
    const LIVES: usize = 192;
    let [small, large] = ["", "large"].map(|query| guests::dirties_on_demand(16_384, 2048, query));
    let mut ours = Ours::new(settings, reactor, &small);
    let mut times = vec![Vec::new(); LIVES];
    for _ in 0..ROUNDS {
        ours.run(&large);
        for times in &mut times {
            times.push(each_us(1, &mut || ours.run(&small)));
        }
    }
    let medians = times.into_iter().map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    let mut medians: Vec<_> = medians.collect();
    let (first_us, last_us) = (medians[0], medians[LIVES - 1]);
    medians.sort_by(f64::total_cmp);
    let mean_us = medians.iter().sum::<f64>() / LIVES as f64;
    println!(
        "\nsmall lives after one that dirtied 2048 KiB: the first {first_us:.2} us, of {LIVES} on average \
         {mean_us:.2} us, the last {last_us:.2} us"
    );
}
