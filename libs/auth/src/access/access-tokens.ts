import { Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { ExtractJwt, Strategy } from 'passport-jwt';
import { z } from 'zod';
import { SigningKeys } from './signing-keys.ts';

export const accessTokenSeconds = 15 * 60;
const issuer = 'muster';
const audience = 'muster-api';

const claims = z.object({ sub: z.string(), sid: z.uuid(), team: z.string() });
export type AccessClaims = z.infer<typeof claims>;
const header = z.object({ alg: z.literal('RS256'), kid: z.string().max(100) });

/** Signed for a quarter of an hour; whether its session still lives is asked apart. */
@Injectable()
export class AccessTokens {
  private readonly jwt = new JwtService({});
  private readonly strategy: Strategy;

  constructor(private readonly keys: SigningKeys) {
    this.strategy = new Strategy(
      {
        jwtFromRequest: ExtractJwt.fromAuthHeaderAsBearerToken(),
        algorithms: ['RS256'],
        issuer,
        audience,
        secretOrKeyProvider: (_request, token: string, done) => {
          this.publicKeyOf(token).then(
            (pem) => done(pem === null ? new Error('unknown key') : null, pem ?? undefined),
            (error: unknown) => done(error),
          );
        },
      },
      (payload: unknown, done) => {
        const parsed = claims.safeParse(payload);
        done(null, parsed.success ? parsed.data : false);
      },
    );
  }

  async sign(content: AccessClaims): Promise<string> {
    const key = await this.keys.current();
    const { sub, ...rest } = content;
    return this.jwt.signAsync(rest, {
      algorithm: 'RS256',
      privateKey: key.privatePem,
      keyid: key.id,
      subject: sub,
      issuer,
      audience,
      expiresIn: accessTokenSeconds,
    });
  }

  /** Null when it is not ours, altered or expired. */
  verify(token: string): Promise<AccessClaims | null> {
    return new Promise((resolve, reject) => {
      // As Passport does it: each request gets its own copy of the strategy with the outcomes put on.
      const run = Object.assign(Object.create(this.strategy) as Strategy, {
        success: (user: unknown) => resolve(user as AccessClaims),
        fail: () => resolve(null),
        error: (error: unknown) => reject(error instanceof Error ? error : new Error(String(error))),
      });
      const request = { headers: { authorization: `Bearer ${token}` } };
      run.authenticate(request as unknown as Parameters<Strategy['authenticate']>[0]);
    });
  }

  private async publicKeyOf(token: string): Promise<string | null> {
    const head = header.safeParse(parseJson(Buffer.from(token.split('.', 1)[0] ?? '', 'base64url').toString('utf8')));
    return head.success ? ((await this.keys.byId(head.data.kid))?.publicPem ?? null) : null;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
