import { Injectable } from '@nestjs/common';

/** Whether the server has come up. Set by whoever starts it, once it listens. */
@Injectable()
export class Startup {
  done = false;
}
