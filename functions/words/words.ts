// words: how many bytes, words and lines the body has, as JSON.
//
//   POST /words, any text
//
// A word is what stands between white space, a line what ends with a newline, as `wc` counts them. The body
// is read in pieces of 16 KiB, so that memory does not grow with it.

function isSpace(byte: u8): bool {
  return byte == 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

const piece = new ArrayBuffer(16 * 1024);
let bytes: u64 = 0, words: u64 = 0, lines: u64 = 0;
let inWord = false;

while (true) {
  const count = process.stdin.read(piece);
  if (count <= 0) break;
  bytes += count;
  for (let at = 0; at < count; at++) {
    const byte = load<u8>(changetype<usize>(piece) + at);
    if (byte == 0x0a) lines++;
    const wasInWord = inWord;
    inWord = !isSpace(byte);
    if (inWord && !wasInWord) words++;
  }
}

process.stdout.write(`{"bytes": ${bytes}, "words": ${words}, "lines": ${lines}}\n`);
