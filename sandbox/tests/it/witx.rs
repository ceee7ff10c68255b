//! Reads as much of the standard's interface text (`tests/witx/`) as it takes to know each call's parameters and
//! what lies behind their pointers. Anything that the text of preview 1 does not hold is a panic.

use std::collections::HashMap;

/// What a parameter of a call is to its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Where so many bytes are written to on success.
    Result(u64),
    /// A list's elements, of this size each; the next parameter has their number.
    List(u64),
    /// How many of them there are.
    Count,
    /// Where something is, of a size that other parameters tell.
    Pointer,
    /// How large that may be.
    Length,
    /// A descriptor.
    Descriptor,
    /// Something else, of 32 bits.
    Number,
    /// Of 64 bits.
    Long,
}

/// A call and its parameters as they are passed.
pub struct Interface {
    pub name: String,
    pub params: Vec<Role>,
}

/// Every call of preview 1.
pub fn interface() -> Vec<Interface> {
    let types = read(include_str!("../witx/typenames.witx"));
    let types = types.iter().map(|entry| match entry.items() {
        [Node::Word("typename"), Node::Word(name), ty] => (*name, ty),
        _ => panic!("{entry:?}"),
    });
    let types = Types(types.collect());
    let text = read(include_str!("../witx/wasi_snapshot_preview1.witx"));
    let module = text.iter().find(|entry| entry.begins_with("module"));
    let module = module.expect("a module").items();
    let calls = module
        .iter()
        .filter(|entry| entry.begins_with("@interface"));
    calls.map(|call| types.described(call.items())).collect()
}

#[derive(Debug)]
enum Node<'t> {
    Word(&'t str),
    List(Vec<Node<'t>>),
}

/// Type names and what they stand for.
struct Types<'t>(HashMap<&'t str, &'t Node<'t>>);

impl<'t> Node<'t> {
    fn items(&self) -> &[Node<'t>] {
        match self {
            Node::List(items) => items,
            Node::Word(_) => &[],
        }
    }

    fn begins_with(&self, word: &str) -> bool {
        matches!(self.items().first(), Some(Node::Word(first)) if *first == word)
    }
}

/// The S-expressions of a text.
fn read(text: &str) -> Vec<Node<'_>> {
    let mut open = vec![Vec::new()];
    let lines = text
        .lines()
        .map(|line| line.split(";;").next().unwrap_or_default());
    let top = |open: &mut Vec<Vec<_>>, node| open.last_mut().expect("balanced").push(node);
    for line in lines {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '(' | ')' => 1,
                _ => rest
                    .find(|char: char| "() ".contains(char))
                    .unwrap_or(rest.len()),
            };
            let (word, later) = rest.split_at(length);
            match first {
                '(' => open.push(Vec::new()),
                ')' => {
                    let list = Node::List(open.pop().expect("balanced"));
                    top(&mut open, list);
                }
                _ => top(&mut open, Node::Word(word.trim_matches('"'))),
            }
            rest = later.trim_start();
        }
    }
    let all = open.pop().expect("balanced");
    assert!(open.is_empty(), "balanced");
    all.into_iter()
        .filter(|entry| !entry.begins_with("use"))
        .collect()
}

impl<'t> Types<'t> {
    /// What `node` stands for: a word of the language or a list.
    fn resolved(&self, node: &'t Node<'t>) -> &'t Node<'t> {
        match node {
            Node::Word(name) => self.0.get(name).map_or(node, |ty| self.resolved(ty)),
            Node::List(_) => node,
        }
    }

    fn described(&self, call: &'t [Node<'t>]) -> Interface {
        let mut interface = Interface {
            name: String::new(),
            params: Vec::new(),
        };
        for part in call {
            match part.items() {
                [Node::Word("export"), Node::Word(name)] => interface.name = (*name).to_owned(),
                [Node::Word("param"), _, ty] => self.add_param(ty, &mut interface.params),
                [Node::Word("result"), _, expected] => {
                    self.add_results(expected, &mut interface.params)
                }
                _ => {}
            }
        }
        interface
    }

    fn add_param(&self, ty: &'t Node<'t>, params: &mut Vec<Role>) {
        match self.resolved(ty) {
            Node::Word("string") => params.extend([Role::List(1), Role::Count]),
            Node::Word("u32") => params.push(Role::Length),
            Node::Word("u8" | "u16") => params.push(Role::Number),
            Node::Word("u64" | "s64") => params.push(Role::Long),
            Node::List(items) => match &items[..] {
                [Node::Word("list"), element] => {
                    params.extend([Role::List(self.layout(element).0), Role::Count]);
                }
                [
                    Node::Word("@witx"),
                    Node::Word("pointer" | "const_pointer"),
                    _,
                ] => {
                    params.push(Role::Pointer);
                }
                [Node::Word("handle")] => params.push(Role::Descriptor),
                [Node::Word("flags" | "enum"), ..] => params.push(match self.layout(ty).0 {
                    8 => Role::Long,
                    _ => Role::Number,
                }),
                _ => panic!("{items:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// `(expected OK (error $errno))`, where OK may be missing or a tuple.
    fn add_results(&self, expected: &'t Node<'t>, params: &mut Vec<Role>) {
        let [Node::Word("expected"), ok, _] = expected.items() else {
            return;
        };
        let each = match ok.items() {
            [Node::Word("tuple"), members @ ..] => members,
            _ => std::slice::from_ref(ok),
        };
        params.extend(each.iter().map(|ty| Role::Result(self.layout(ty).0)));
    }

    /// Size and alignment in bytes.
    fn layout(&self, ty: &'t Node<'t>) -> (u64, u64) {
        let ty = self.resolved(ty);
        match (ty, ty.items()) {
            (Node::Word("u8"), _) => (1, 1),
            (Node::Word("u16"), _) => (2, 2),
            (Node::Word("u32"), _) => (4, 4),
            (Node::Word("u64" | "s64"), _) => (8, 8),
            (_, [Node::Word("handle")] | [Node::Word("@witx"), ..]) => (4, 4),
            (_, [Node::Word("enum" | "flags"), tag, ..]) => self.layout(&tag.items()[2]),
            (_, [Node::Word("record"), fields @ ..]) => {
                let fields = fields.iter().map(|field| self.layout(&field.items()[2]));
                let (end, align) = fields.fold((0_u64, 1), |(end, align), (size, field_align)| {
                    (
                        end.next_multiple_of(field_align) + size,
                        align.max(field_align),
                    )
                });
                (end.next_multiple_of(align), align)
            }
            (_, [Node::Word("union"), tag, cases @ ..]) => {
                let tag = self.layout(&tag.items()[2]);
                let cases = || cases.iter().map(|case| self.layout(case));
                let align = cases().map(|(_, align)| align).fold(tag.1, u64::max);
                let size = cases().map(|(size, _)| size).max().unwrap_or(0);
                let size = tag.0.next_multiple_of(align) + size;
                (size.next_multiple_of(align), align)
            }
            _ => panic!("{ty:?}"),
        }
    }
}

#[test]
fn the_text_is_understood() {
    let calls = interface();
    let check = |name: &str, params: &[Role]| {
        let call = calls.iter().find(|call| call.name == name).expect(name);
        assert_eq!(call.params, params, "{name}");
    };
    use Role::{Count, Descriptor, Length, List, Long, Number, Pointer, Result};
    assert_eq!(calls.len(), 46);
    check("args_get", &[Pointer, Pointer]);
    check("args_sizes_get", &[Result(4), Result(4)]);
    check("clock_time_get", &[Number, Long, Result(8)]);
    check("fd_pread", &[Descriptor, List(8), Count, Long, Result(4)]);
    check(
        "fd_readdir",
        &[Descriptor, Pointer, Length, Long, Result(4)],
    );
    check("fd_fdstat_get", &[Descriptor, Result(24)]);
    check("fd_filestat_get", &[Descriptor, Result(64)]);
    check("fd_prestat_get", &[Descriptor, Result(8)]);
    check(
        "path_rename",
        &[Descriptor, List(1), Count, Descriptor, List(1), Count],
    );
    check("poll_oneoff", &[Pointer, Pointer, Length, Result(4)]);
    check("proc_exit", &[Length]);
    check(
        "sock_recv",
        &[Descriptor, List(8), Count, Number, Result(4), Result(2)],
    );
    check("sched_yield", &[]);
    let open = [
        Descriptor,
        Number,
        List(1),
        Count,
        Number,
        Long,
        Long,
        Number,
        Result(4),
    ];
    check("path_open", &open);
}
