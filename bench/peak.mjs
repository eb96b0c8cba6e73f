// Loaded into a measured program: writes the most memory that it had, in kB, where BENCH_PEAK says.
import { writeFileSync } from 'node:fs';

process.on('exit', () => writeFileSync(process.env.BENCH_PEAK, String(process.resourceUsage().maxRSS)));
