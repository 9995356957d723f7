export interface Request {
  method: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
}

export interface Response {
  status: number;
  body: unknown;
}

export type Handler = (request: Request, params: Record<string, string>) => Promise<Response> | Response;

interface Route {
  method: string;
  pattern: RegExp;
  names: string[];
  handler: Handler;
}

export class Router {
  private readonly routes: Route[] = [];

  on(method: string, path: string, handler: Handler): this {
    const names: string[] = [];
    const source = path.replace(/:(\w+)/g, (_all, name: string) => {
      names.push(name);
      return '([^/]+)';
    });
    this.routes.push({ method, pattern: new RegExp(`^${source}$`), names, handler });
    return this;
  }

  async handle(request: Request): Promise<Response> {
    const matching = this.routes.filter((route) => route.pattern.test(request.path));
    const route = matching.find((each) => each.method === request.method);
    if (route === undefined) return { status: matching.length > 0 ? 405 : 404, body: { code: 'no_route' } };
    const values = route.pattern.exec(request.path)!.slice(1);
    const params = Object.fromEntries(route.names.map((name, at) => [name, decodeURIComponent(values[at]!)]));
    return await route.handler(request, params);
  }
}
