import { label, type Address } from './label';
import { ParcelError, quote, type Parcel } from './rates';
import { Router, type Response } from './router';
import type { ParcelStore } from './store';
import { trackingNumber } from './tracking';
import { UnknownCountry } from './zones';

const refused = (error: unknown): Response => {
  if (error instanceof ParcelError || error instanceof UnknownCountry) return { status: 422, body: { reason: error.message } };
  throw error;
};

export function api(store: ParcelStore, nextSerial: () => number): Router {
  return new Router()
    .on('POST', '/quotes', (request) => {
      try {
        return { status: 200, body: quote(request.body as Parcel) };
      } catch (error) {
        return refused(error);
      }
    })
    .on('POST', '/parcels', (request) => {
      const { parcel, to } = request.body as { parcel: Parcel; to: Address };
      try {
        const price = quote(parcel);
        const number = trackingNumber(nextSerial());
        return { status: 201, body: { number, price, label: label(number, to, price) } };
      } catch (error) {
        return refused(error);
      }
    })
    .on('GET', '/parcels/:number', async (_request, { number = '' }) => {
      const row = await store.find(number);
      if (row === null) return { status: 404, body: { code: 'parcel_unknown' } };
      return { status: 200, body: { ...row, state: store.tracking(number).state } };
    });
}
