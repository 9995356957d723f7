/** One version of a package as it was published, and the hash by which npm knows it. */
export interface Published {
  version: string;
  integrity: string;
}

/**
 * Versions of small packages that other people keep well, one after the other, whose tarballs hold their tests and whose tests run on
 * what this repository installs. What is added goes to the end of a list.
 */
export const publishedProjects: Readonly<Record<string, readonly Published[]>> = {
  '@fastify/error': [
    {
      version: '4.2.0',
      integrity: 'sha512-RSo3sVDXfHskiBZKBPRgnQTtIqpi/7zhJOEmAxCiBcM7d0uwdGdxLlsCaLzGs8v8NnxIRlfG0N51p5yFaOentQ==',
    },
    {
      version: '4.2.1',
      integrity: 'sha512-MYBumuIwP+5MIpXSyKm6/o1Eigcoij186lWUssX3LH5U8KWqU0ktZhzC4CErIX9EJeQeRGI+zJZQWakBlFbUcg==',
    },
    {
      version: '4.3.0',
      integrity: 'sha512-mtIdc4R7HnUMOuUDQgnJkEF+Omr2p3JrSSJ44+RME/eAQ5TqdDy5MvXAjze/RyVHhJckuJKkXnMhKfPmFMKqyA==',
    },
  ],
  '@fastify/merge-json-schemas': [
    {
      version: '0.2.0',
      integrity: 'sha512-9ql2tM7wdn7McvOg1V799G6/M6N5MM/Exp9SQvy8rld3xO07YhpxT9taR6vy7FU8o3ppU6M19M7P6GURP5RsPA==',
    },
    {
      version: '0.2.1',
      integrity: 'sha512-OA3KGBCy6KtIvLf8DINC5880o5iBlDX4SxzLQS8HorJAbqluzLRn80UXU0bxZn7UOFhFgpRJDasfwn9nG4FG4A==',
    },
    {
      version: '0.2.2',
      integrity: 'sha512-d/gx9sRbUCVgGRGzma46wLcwiY8noTqO2Nmjg/vbTARxHRE5bdh5PIL8s97Lt1X7ScRWRW52eVYxwIoPwIdVUA==',
    },
  ],
  '@fastify/proxy-addr': [
    {
      version: '5.1.0',
      integrity: 'sha512-INS+6gh91cLUjB+PVHfu1UqcB76Sqtpyp7bnL+FYojhjygvOPA9ctiD/JDKsyD9Xgu4hUhCSJBPig/w7duNajw==',
    },
    {
      version: '5.1.1',
      integrity: 'sha512-zv07Y9GEuDsJPegZoDFd4SDWaZOW8N2pa0GSrYmKpId/tjt1Hgo3BjZBVjdVpfVrHaA+Qv5jawtS2O50J5xM9g==',
    },
    {
      version: '5.1.2',
      integrity: 'sha512-uqB4QsgVoro0XDC+DIftIMGXHdBPn+lK6Ek3xXAIxPMCJfqxnbtyEoMCm2KPUVOuIosd7Cyw9HawEqMFM/UA+g==',
    },
    {
      version: '5.1.3',
      integrity: 'sha512-ptgIgB+abBNTs5lsKNvFaKMCauPaTOE6ZIjxJr3FxCLehmYQQKYGg4srwwNICR9QQlFrYw59jWAo+i9GalVCaw==',
    },
  ],
  'process-warning': [
    {
      version: '5.0.0',
      integrity: 'sha512-a39t9ApHNx2L4+HBnQKqxxHNs1r7KF+Intd8Q/g1bUh6q0WIp9voPXJ/x0j+ZL45KF1pJd9+q2jLIRMfvEshkA==',
    },
    {
      version: '5.1.0',
      integrity: 'sha512-jQSaVHsPgtyw60e1rQ/A+/ArPEj/S8pS/vFnyGa/gYFXrKk/6RuDkoqVDQ5NI5MmS01698ltlAk0NoDBNLujRw==',
    },
    {
      version: '5.1.1',
      integrity: 'sha512-oCkNVj4OKnKEcocVBcDfiIugN1/cE6rgfT3nCtzeqZPA8+rIxMaQ0xXzIkGP8Gj2qUaP1UR7uhJ1VD8lUCpzCg==',
    },
  ],
  'safe-regex2': [
    {
      version: '5.1.0',
      integrity: 'sha512-pNHAuBW7TrcleFHsxBr5QMi/Iyp0ENjUKz7GCcX1UO7cMh+NmVK6HxQckNL1tJp1XAJVjG6B8OKIPqodqj9rtw==',
    },
    {
      version: '5.1.1',
      integrity: 'sha512-mOSBvHGDZMuIEZMdOz/aCEYDCv0E7nfcNsIhUF+/P+xC7Hyf3FkvymqgPbg9D1EdSGu+uKbJgy09K/RKKc7kJA==',
    },
    {
      version: '5.1.2',
      integrity: 'sha512-tAtCGFPPP02VroDVzp4daGi6bC7jWG+41D47GKf18FeH/ubvKQHT9VmhAkvtjNOmJwqtApzWeUpEhkyEYULvmw==',
    },
  ],
};
