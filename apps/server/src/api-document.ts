import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, type OpenAPIObject, SwaggerModule } from '@nestjs/swagger';

/** The API as OpenAPI 3.1, made from the same schemas that check requests. */
export function apiDocument(app: INestApplication): OpenAPIObject {
  const description =
    'Errors are RFC 9457 problem details with a stable `code`. Lists are paged with `limit` and `cursor`. ' +
    'Creating requests take an `Idempotency-Key`.';
  return SwaggerModule.createDocument(
    app,
    new DocumentBuilder()
      .setOpenAPIVersion('3.1.0')
      .setTitle('Muster')
      .setDescription(description)
      .setVersion('0.1.0')
      .addBearerAuth({
        type: 'http',
        scheme: 'bearer',
        description: 'An access token from POST /api/auth/login, or an API key.',
      })
      .addSecurityRequirements('bearer')
      .build(),
  );
}

/** The page at /api/docs and the file at /api/docs-json. */
export function serveApiDocument(app: INestApplication): void {
  SwaggerModule.setup('api/docs', app, () => apiDocument(app), {
    jsonDocumentUrl: 'api/docs-json',
    customSiteTitle: 'Muster API',
  });
}
