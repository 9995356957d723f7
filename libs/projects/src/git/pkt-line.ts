import type { Readable } from 'node:stream';

/** Git's framing: four hex digits of length, then the bytes; 0000 ends a section. */
export const pktLine = (text: string): string => (Buffer.byteLength(text) + 4).toString(16).padStart(4, '0') + text;
export const FLUSH = '0000';

/** Reads a stream piece by piece. */
export class PktReader {
  private readonly chunks: AsyncIterator<Buffer, undefined>;
  private rest: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.chunks = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  private async bytes(count: number): Promise<Buffer> {
    while (this.rest.length < count) {
      const { value, done } = await this.chunks.next();
      if (done) throw new Error('the other side ended early');
      this.rest = Buffer.concat([this.rest, value]);
    }
    const taken = this.rest.subarray(0, count);
    this.rest = this.rest.subarray(count);
    return taken;
  }

  /** A line that ends with a newline, at most `max` bytes. */
  async line(max: number): Promise<string> {
    let text = '';
    while (text.length < max) {
      const next = (await this.bytes(1)).toString('latin1');
      if (next === '\n') return text;
      text += next;
    }
    throw new Error('line too long');
  }

  /** One packet without its final newline; null for a flush. */
  async packet(): Promise<string | null> {
    const length = Number.parseInt((await this.bytes(4)).toString('latin1'), 16);
    if (length === 0) return null;
    if (!(length >= 4)) throw new Error('not a pkt-line');
    return (await this.bytes(length - 4)).toString('utf8').replace(/\n$/, '');
  }

  async section(): Promise<string[]> {
    const packets: string[] = [];
    for (let packet = await this.packet(); packet !== null; packet = await this.packet()) {
      packets.push(packet);
      if (packets.length > 1000) throw new Error('too many packets');
    }
    return packets;
  }
}
