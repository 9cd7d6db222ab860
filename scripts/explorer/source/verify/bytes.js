// Bytes are hex texts with 0x, as in a bundle: they compare with === and are keys of a Map.
import { keccak_256 } from "@noble/hashes/sha3.js";
import { bytesToHex, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export const WORD = 32;
export const ZERO_ADDRESS = `0x${"00".repeat(20)}`;

/** Returns the bytes of a hex text. */
export const fromHex = (hex) => hexToBytes(hex.slice(2));

/** Returns bytes as hex. */
export const toHex = (bytes) => `0x${bytesToHex(bytes)}`;

/** Returns the keccak-256 of bytes, as hex. */
export const keccak = (bytes) => toHex(keccak_256(bytes));

/** Returns the keccak-256 of a text, as hex. */
export const keccakText = (text) => keccak(utf8ToBytes(text));

/** Returns an address with its EIP-55 checksum. */
export function checksummed(address) {
  const digits = address.slice(2);
  const digest = keccakText(digits).slice(2);
  return "0x" + [...digits].map((digit, place) => (digest[place] >= "8" ? digit.toUpperCase() : digit)).join("");
}

/** Decodes UTF-8, of which invalid sequences and NUL become U+FFFD, as the indexer stores it. */
export function cleanText(hex) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(hexToBytes(hex)).replaceAll("\0", "\ufffd");
}
