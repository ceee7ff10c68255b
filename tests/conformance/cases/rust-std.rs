//! What Rust's standard library makes of preview 1: arguments, variables, streams, files, time, a panic that is not.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write, stdin};
use std::time::{Duration, Instant, SystemTime};

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    assert_eq!(arguments, ["one", "two words"]);
    let variables: Vec<_> = std::env::vars().collect();
    assert_eq!(variables, [("NAME".to_owned(), "value".to_owned())]);
    let mut input = String::new();
    stdin().read_to_string(&mut input).expect("text");
    println!("{}", input.to_uppercase());
    eprintln!("said");
    files();
    directories();
    time();
    std::process::exit(42);
}

fn files() {
    fs::write("files/a", "hello").expect("written");
    assert_eq!(fs::read_to_string("files/a").expect("read"), "hello");
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .open("files/a")
        .expect("opened");
    file.write_all(b", world").expect("written");
    file.seek(SeekFrom::Start(7)).expect("positioned");
    let mut rest = String::new();
    file.read_to_string(&mut rest).expect("read");
    assert_eq!(rest, "world");
    let known = fs::metadata("files/a").expect("known");
    assert!(known.is_file() && known.len() == 12);
    assert_eq!(fs::copy("files/a", "files/b").expect("copied"), 12);
    fs::rename("files/b", "files/c").expect("renamed");
    let missing = File::open("files/b").expect_err("gone");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    let exists = File::create_new("files/c").expect_err("there");
    assert_eq!(exists.kind(), ErrorKind::AlreadyExists);
    fs::remove_file("files/c").expect("removed");
    File::open("../outside").expect_err("outside");
    File::open("/etc/passwd").expect_err("outside");
}

fn directories() {
    fs::create_dir_all("files/x/y/z").expect("made");
    for number in 0..100 {
        fs::write(format!("files/x/y/{number}"), number.to_string()).expect("written");
    }
    let entries = fs::read_dir("files/x/y").expect("listed");
    let names: BTreeSet<_> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), 101);
    assert!(fs::remove_dir("files/x/y").is_err());
    fs::remove_dir_all("files/x").expect("removed");
    assert!(!fs::exists("files/x").expect("known"));
}

fn time() {
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    assert!(begun.elapsed() >= Duration::from_millis(20));
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    assert!(since.expect("after 1970").as_secs() > 1_577_836_800);
}
