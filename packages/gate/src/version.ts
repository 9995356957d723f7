/** Goes up whenever a check or the score could answer differently: evidence of another version is not reused. */
export const GATE_VERSION = '0.4.1';
