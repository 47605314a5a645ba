// Answers calls of a module's functions, which use lora-packet:
//
//     node lora_packet.js MODULE
//
// Reads lines of JSON, each ["function", [argument, ...]], and answers each with
// a line: the result of the function, or {"error": the text of its exception}.  Bytes
// are hexadecimal text.
"use strict";

const readline = require("readline");
const functions = require(`./${process.argv[2]}.js`);

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, args] = JSON.parse(line);
  let answer;
  try {
    answer = functions[name](...args);
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer === undefined ? null : answer) + "\n");
});
