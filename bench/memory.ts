import { sleep } from './machinery/clock.ts';
import { measureOf, type Measure } from './machinery/document.ts';
import { heapMib } from './machinery/heap.ts';
import { residentMib } from './machinery/processor-time.ts';
import { say, type Stage } from './machinery/stage.ts';
import { mean, slope, type Point } from './machinery/statistics.ts';

/** The first fifth is the time in which a server takes what it will keep. */
const settling = 0.2;
const samples = 120;

/** Whether the server's memory stays where it is while tasks come and go at a steady rate. */
export async function memory(stage: Stage): Promise<Measure[]> {
  const { server, options } = stage;
  const muster = await stage.muster('memory');
  const seconds = options.minutes * 60;
  const resident: Point[] = [];
  const heap: Point[] = [];
  say(`${options.rate} tasks a second for ${options.minutes} minutes`);
  await muster.whileConsuming('throughput', async (create) => {
    let over = false;
    const watching = (async () => {
      const start = Date.now();
      const every = Math.max(500, (seconds * 1000) / samples);
      while (!over) {
        const hours = (Date.now() - start) / 3_600_000;
        const [mib, used] = [residentMib(server.pid), await heapMib(server.url)];
        resident.push({ x: hours, y: mib });
        heap.push({ x: hours, y: used });
        if (resident.length % 10 === 0)
          say(`  ${(hours * 60).toFixed(1)} min: ${mib.toFixed(0)} MiB, heap ${used.toFixed(0)} MiB`);
        await sleep(every);
      }
    })();
    try {
      await create(options.rate, seconds);
    } finally {
      over = true;
      await watching;
    }
  });
  const later = (points: readonly Point[]): Point[] => points.slice(Math.floor(points.length * settling));
  const line = (name: string, unit: string, ours: number): Measure =>
    measureOf({ name, unit, better: 'lower', ours: [ours] });
  return [
    line('memory_resident', 'MiB', mean(later(resident).map(({ y }) => y))),
    line('memory_resident_slope', 'MiB/hour', slope(later(resident))),
    line('memory_heap', 'MiB', mean(later(heap).map(({ y }) => y))),
    // Between two collections the heap is full of what is dead already: the floor under it tells what lives.
    line('memory_heap_floor_slope', 'MiB/hour', slope(floorOf(later(heap)))),
  ];
}

/** The lowest of each stretch of points. */
export function floorOf(points: readonly Point[], stretches = 12): Point[] {
  const length = Math.max(1, Math.floor(points.length / stretches));
  const floors: Point[] = [];
  for (let from = 0; from + length <= points.length; from += length)
    floors.push(points.slice(from, from + length).reduce((low, point) => (point.y < low.y ? point : low)));
  return floors;
}
