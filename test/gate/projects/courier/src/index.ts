export { api } from './api';
export { label, type Address } from './label';
export { add, exchange, format, money, times, type Money } from './money';
export { chargedGrams, insurance, quote, volumetricGrams, type Parcel } from './rates';
export { Router } from './router';
export { ParcelStore } from './store';
export { Tracking, trackingNumber } from './tracking';
export { transitDays, zoneOf } from './zones';
